import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { describeValue } from '#contracts';
import type { CheckedSettings } from './settings.js';

/** A problem that no single field's check can see; its path tells which setting to name. */
export interface RuleProblem {
  readonly path: readonly [string, ...string[]];
  readonly found: string;
  readonly wanted: string;
  readonly remedy: string;
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Rules over settled settings: pure, and all of them are asked. */
export function checkRules(settings: CheckedSettings): RuleProblem[] {
  return [hostIsLoopback, agentHasOneRunner, agentHasOneTimeout].flatMap((rule) => rule(settings) ?? []);
}

/** Without tokens whoever reaches the port may send to every agent and read every session. */
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

/** With both, it would be chance which of them answers. */
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

function isLoopback(host: string): boolean {
  if (isIPv4(host)) return loopback.check(host, 'ipv4');
  if (isIPv6(host)) return loopback.check(host, 'ipv6');
  return host.toLowerCase() === 'localhost';
}
