import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { describeValue } from '#contracts';
import { credentialsAreReadable, headersAreTheirs } from './agents/agent-rules.js';
import { checkQueueing } from './queueing/queueing-rules.js';
import type { RuleProblem } from './rule-problem.js';
import type { CheckedSettings } from './settings.js';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Rules over the resolved settings: pure, and all of them are checked. */
export function checkRules(settings: CheckedSettings): RuleProblem[] {
  const rules = [
    ...[hostIsLoopback, agentHasOneRunner, handlerHasNoRequest, agentHasOneTimeout, renewsInTime, keepsThroughWindow],
    ...[credentialsAreReadable, headersAreTheirs],
    ...[poolHasRoom, poolHasWorkForAll, tasksComeFromSomewhere, namesGoWithCommands, checkQueueing],
  ];
  return rules.flatMap((rule) => rule(settings) ?? []);
}

/** Without tokens, everyone who can reach the port can send to every agent and read every session. */
function hostIsLoopback({ http: { host } }: CheckedSettings): RuleProblem | undefined {
  if (isLoopback(host)) return undefined;
  return {
    path: ['http', 'host'],
    found: host.length <= 64 ? `the host ${host}` : describeValue(host),
    wanted: 'a loopback host (127.0.0.0/8, ::1 or localhost)',
    remedy:
      'a host that is not loopback needs tokens (LANEKEEPER_TOKENS_FILE), which this version does not have yet; ' +
      'bind 127.0.0.1 and put a proxy with authentication before it',
  };
}

/** With both, it would be undefined which of them answers. */
function agentHasOneRunner({ agents }: CheckedSettings): RuleProblem[] {
  return Object.entries(agents)
    .filter(([, { handler, url }]) => handler !== undefined && url !== undefined)
    .map(([name]) => ({
      path: ['agents', name, 'url'],
      found: 'a url and a handler',
      wanted: 'one of them',
      remedy: `leave out agents.${name}.handler or the url`,
    }));
}

/** A handler gets no HTTP request that these settings could apply to. */
function handlerHasNoRequest({ agents }: CheckedSettings): RuleProblem[] {
  const fields = ['secret', 'headers', 'streamIdleMs'] as const;
  return Object.entries(agents).flatMap(([name, agent]) =>
    fields
      .filter((field) => agent.handler !== undefined && agent.url === undefined && agent[field] !== undefined)
      .map((field) => ({
        path: ['agents', name, field] as const,
        found: `${field} with a handler, which is called in the worker`,
        wanted: 'a url with it',
        remedy: `leave out agents.${name}.${field}`,
      })),
  );
}

function agentHasOneTimeout({ agents }: CheckedSettings): RuleProblem[] {
  return Object.entries(agents)
    .filter(([, { sessionTimeout, turnTimeoutMs }]) => sessionTimeout !== undefined && turnTimeoutMs !== undefined)
    .map(([name]) => ({
      path: ['agents', name, 'sessionTimeout'],
      found: 'sessionTimeout and turnTimeoutMs',
      wanted: 'one of them: they are the same limit, in seconds and in milliseconds',
      remedy: 'leave out sessionTimeout',
    }));
}

/** One renewal may be lost without the worker counting as dead. */
function renewsInTime({ membership: { ttlMs, renewMs } }: CheckedSettings): RuleProblem | undefined {
  if (renewMs * 3 <= ttlMs) return undefined;
  return {
    path: ['membership', 'renewMs'],
    found: `${renewMs} with a ttlMs of ${ttlMs}`,
    wanted: 'at most a third of membership.ttlMs',
    remedy: `set it to ${Math.floor(ttlMs / 3)} or less, or raise membership.ttlMs`,
  };
}

/** The broker forgets the ids of trimmed messages at any restart: a repeated message would then be stored and run again. */
function keepsThroughWindow({ inbox, dedup }: CheckedSettings): RuleProblem | undefined {
  if (inbox.keepMs >= dedup.windowMs) return undefined;
  return {
    path: ['inbox', 'keepMs'],
    found: `${inbox.keepMs} with a dedup.windowMs of ${dedup.windowMs}`,
    wanted: 'at least dedup.windowMs',
    remedy: `set it to ${dedup.windowMs} or more, or lower dedup.windowMs`,
  };
}

function poolHasRoom({ gateway: { workerPool } }: CheckedSettings): RuleProblem | undefined {
  if (workerPool === undefined || workerPool.maxWorkers >= workerPool.minWorkers) return undefined;
  const { minWorkers, maxWorkers } = workerPool;
  return {
    path: ['gateway', 'workerPool', 'maxWorkers'],
    found: `${maxWorkers} with minWorkers ${minWorkers}`,
    wanted: 'at least gateway.workerPool.minWorkers',
    remedy: `set it to ${minWorkers} or more, or lower gateway.workerPool.minWorkers`,
  };
}

/** A worker without a shard never runs a turn. */
function poolHasWorkForAll({ gateway: { workerPool }, shards }: CheckedSettings): RuleProblem | undefined {
  if (workerPool === undefined || workerPool.maxWorkers <= shards) return undefined;
  return {
    path: ['gateway', 'workerPool', 'maxWorkers'],
    found: `${workerPool.maxWorkers} with ${shards} shards`,
    wanted: 'at most as many workers as there are shards',
    remedy: `set it to ${shards} or less`,
  };
}

/** A group without a source protects nothing, but looks as if it did. */
function tasksComeFromSomewhere({ agents }: CheckedSettings): RuleProblem[] {
  return Object.entries(agents)
    .filter(([, { taskFrom }]) => taskFrom !== undefined)
    .filter(([, { taskFrom }]) => (taskFrom?.commands ?? []).length === 0 && taskFrom?.data === undefined)
    .map(([name]) => ({
      path: ['agents', name, 'taskFrom'],
      found: 'neither commands nor data',
      wanted: 'where the name of the task comes from',
      remedy: `set agents.${name}.taskFrom.commands or .data, or leave out the group`,
    }));
}

/** The names say which bot a command is for. */
function namesGoWithCommands({ agents }: CheckedSettings): RuleProblem[] {
  return Object.entries(agents)
    .filter(([, { taskFrom }]) => taskFrom?.names !== undefined && (taskFrom.commands ?? []).length === 0)
    .map(([name]) => ({
      path: ['agents', name, 'taskFrom', 'names'],
      found: 'names of a bot without commands that may be for it',
      wanted: 'commands with them',
      remedy: `set agents.${name}.taskFrom.commands, or leave out the names`,
    }));
}

function isLoopback(host: string): boolean {
  if (isIPv4(host)) return loopback.check(host, 'ipv4');
  if (isIPv6(host)) return loopback.check(host, 'ipv6');
  return host.toLowerCase() === 'localhost';
}
