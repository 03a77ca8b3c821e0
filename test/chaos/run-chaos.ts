import { setTimeout as delay } from 'node:timers/promises';
import { DEFAULT_SHARDS, Names } from '#contracts';
import { startChaosAgent } from './agent.js';
import { startBrokers } from './brokers.js';
import { checkHistory } from './check-history.js';
import { Dice } from './dice.js';
import { inflict } from './faults.js';
import type { History, Violation } from './history.js';
import { incarnationsOf, lifeLines, startLines } from './life-lines.js';
import { watchMemberships } from './membership-watch.js';
import { Operator } from './operator.js';
import { OutsideHolders } from './outside-holders.js';
import { planFaults } from './plan.js';
import { StreamHistory } from './read-history.js';
import { CLOCKS_APART_MS, Crew } from './seats.js';
import { agentOf } from './sessions.js';
import { watchTasks } from './task-past.js';
import { TIMES, type TimesName } from './times.js';
import { Traffic } from './traffic.js';
import { watchWorkers } from './worker-watch.js';

export interface ChaosOptions {
  readonly minutes: number;
  readonly seed: number;
  /** Of the broker. */
  readonly nodes: 1 | 3;
  /** How many are sent in all, as far as faults let them through. */
  readonly messages: number;
  /** Default: the seed says which. */
  readonly times?: TimesName | undefined;
  /** Whether parts get networks of their own, which faults cut; only with several nodes. */
  readonly networks: boolean;
  /** Whether the broker's stores are on small disks, which faults fill. */
  readonly disks: boolean;
  readonly say: (line: string) => void;
}

export interface ChaosResult {
  readonly history: History;
  readonly violations: readonly Violation[];
  /** Results of zombies that their workers have thrown away. */
  readonly discarded: number;
  readonly times: TimesName;
  /** How many requests to ingress were answered that the broker is away or full. */
  readonly unavailable: number;
}

const WORKERS = 4;
const INGRESSES = 2;
const GUARDS = 2;
/** Of all seeds. */
const WITH_DEFAULT_TIMES = 0.25;
const LOOK_MS = 500;
const MOST_NAMED = 5;
/** Only a fault may fill a disk, not the run itself. */
const DISK_MB = 256;
const DISK_MB_PER_MINUTE = 64;

/** Breaks everything for a while, lets it heal, and holds what happened against the invariants. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { minutes, seed, nodes, messages, say } = options;
  const ms = minutes * 60_000;
  const dice = new Dice(seed);
  const names = new Names('lk', DEFAULT_SHARDS);
  // Chance for each part up front: how often one of them asks must not change the others.
  const [faultDice, trafficDice, nodeDice, operatorDice] = [dice.fork(), dice.fork(), dice.fork(), dice.fork()];
  const [clockDice, outsideDice] = [dice.fork(), dice.fork()];
  const drawn = dice.chance(WITH_DEFAULT_TIMES) ? 'default' : 'short';
  const timesName = options.times ?? drawn;
  const times = TIMES[timesName];
  const { ttlMs, renewMs, healedWithinMs } = times;
  const seats = { workers: WORKERS, ingresses: INGRESSES, guards: GUARDS };
  const has = { networks: options.networks, disks: options.disks };
  const plan = planFaults(faultDice, { ms, nodes, times, ...seats, has });

  const diskMegabytes = has.disks ? DISK_MB + Math.ceil(minutes * DISK_MB_PER_MINUTE) : 0;
  await using brokers = await startBrokers({ nodes, workers: WORKERS, networks: has.networks, diskMegabytes });
  await using agent = await startChaosAgent(brokers.networks?.ownAddress);
  await using crew = await Crew.start({ brokers, times, ...seats, agent, dice: nodeDice, clockDice });
  const urls = brokers.nodes.map(({ url }) => url);
  await using memberships = await watchMemberships(names, urls);
  await using workers = watchWorkers(() => crew.urls);
  await using tasks = await watchTasks(names, urls[0] ?? '');
  const operator = new Operator(operatorDice, () => crew.guardUrls);
  const outside = new OutsideHolders(outsideDice, () => crew.guardUrls);
  const traffic = new Traffic({ dice: trafficDice, perSecond: messages / (ms / 1000), urls: () => crew.urls });
  say(`seed ${seed}: ${plan.length} faults in ${minutes} min, ${nodes} broker node(s), ${timesName} times`);

  const breaking = inflict(plan, { crew, brokers }, say);
  const [faults] = await Promise.all([breaking, traffic.run(ms), operator.run(ms), outside.run(ms)]);
  const unsent = await traffic.end(healedWithinMs);
  if (unsent > 0)
    crew.mishaps.push(`${unsent} messages could not be sent within ${healedWithinMs} ms of the last fault`);
  say(`sent: ${traffic.accepted.length} accepted; waiting until all are decided`);

  await using streams = await StreamHistory.open(names, urls[0] ?? '');
  await streams.readInbox();
  await untilDecided(streams, crew, healedWithinMs);
  // A zombie that still wanted to write would have done so by then.
  await delay(2 * ttlMs);
  // What they still write when they end counts like everything else.
  await crew.stopAll();
  await streams.readAll();
  await tasks.look();
  const { inbox, records, dead } = streams;
  const incarnations = incarnationsOf(crew.lives, memberships);
  const history: History = {
    ...{ ttlMs, renewMs, inbox, records, dead, faults },
    guardClocksMs: CLOCKS_APART_MS.guard,
    starts: startLines(streams.starts, incarnations),
    mishaps: [...crew.mishaps, ...traffic.refused],
    tasks: tasks.lines(streams.taskEvents),
    approvals: operator.approvals,
    outside: outside.holdings,
    outsideAnswers: outside.answers,
    accepted: traffic.accepted,
    calls: agent.calls,
    lives: lifeLines(incarnations, memberships),
    blind: memberships.blind,
  };
  return {
    ...{ history, violations: checkHistory(history), times: timesName },
    ...{ discarded: workers.discarded, unavailable: traffic.unavailable },
  };
}

/** What is still undecided after that is told by the checks. */
async function untilDecided(streams: StreamHistory, crew: Crew, withinMs: number): Promise<void> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    await streams.readRecords();
    const undecided = streams.undecided();
    if (undecided.length === 0) return;
    if (Date.now() > deadline) return describeStuck(undecided, crew);
    await delay(LOOK_MS);
  }
}

/** What the services say of the sessions that do not go on: evidence for the search of the cause. */
async function describeStuck(undecided: StreamHistory['inbox'], crew: Crew): Promise<void> {
  const sessions = [...new Set(undecided.map(({ session }) => session))];
  for (const session of sessions.slice(0, MOST_NAMED)) {
    const url = `${crew.urls[0]}/v1/agents/${agentOf(session)}/sessions/${encodeURIComponent(session)}`;
    const answer = await fetch(url).then(
      (response) => response.text(),
      (error: unknown) => String(error),
    );
    crew.mishaps.push(`${session} does not go on: ${answer}`);
  }
  crew.mishaps.push(...crew.lastWords());
}
