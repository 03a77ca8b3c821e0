import { setTimeout as delay } from 'node:timers/promises';
import type { FaultProxy } from '#testing';
import { LEADERS } from './faults/leaders.js';
import { PARTITIONS } from './faults/partitions.js';
import { STORES } from './faults/stores.js';
import { lifeOf, nodeOf, seatOf, whileCutOff, type Doing, type Targets } from './faults/targets.js';
import type { FaultLine } from './history.js';
import { FAULT_TYPES, keyOf, type FaultKind, type PlannedFault } from './plan.js';
import type { Crew, Life, Seat } from './seats.js';

/** Together less than a time to live: no worker may be taken for dead then. */
const RETURN_APART_MS = 400;

/** How each kind is done; it is over when what was broken works again. */
const DOING: Readonly<Record<FaultKind, Doing>> = {
  'kill worker': async ({ crew }, fault) => killAndStart(crew, seatOf(crew.workers, fault), fault),
  'stop worker': async ({ crew }, fault) => stopAndStart(crew, seatOf(crew.workers, fault), fault),
  'replace worker': async ({ crew }, fault) => {
    const seat = seatOf(crew.workers, fault);
    const former = lifeOf(seat);
    await seat.start(true);
    await crew.stop(former);
  },
  'pause worker briefly': pauseWorker,
  'pause worker beyond its time': pauseWorker,
  'pause worker, then kill it': async ({ crew }, fault) => {
    const seat = seatOf(crew.workers, fault);
    await pause(lifeOf(seat), fault.lastsMs, false);
    await killAndStart(crew, seat, { ...fault, lastsMs: 0 });
  },
  'cut worker off': async ({ crew }, fault) => cutOff(seatOf(crew.workers, fault), fault),
  'cut all workers off': async ({ crew }, { lastsMs }) => {
    // For the workers this is an outage of the broker: it excuses no turn that is called again (L8).
    const links = crew.workers.map(linkOf);
    for (const link of links) {
      link.dropFromClient();
      link.dropFromServer();
    }
    await delay(lastsMs);
    for (const link of links) {
      link.heal();
      await delay(RETURN_APART_MS);
    }
  },
  'lose answers to worker': async ({ crew }, fault) => loseAnswers(seatOf(crew.workers, fault), fault),
  'jump clock of worker': async ({ crew }, fault) => jumpClock(seatOf(crew.workers, fault), fault),
  'jump clock of ingress': async ({ crew }, fault) => jumpClock(seatOf(crew.ingresses, fault), fault),
  'lose answers to ingress': async ({ crew }, fault) => loseAnswers(seatOf(crew.ingresses, fault), fault),
  'reset link of worker': async ({ crew }, fault) => {
    const seat = seatOf(crew.workers, fault);
    const span = cutSpan(lifeOf(seat));
    linkOf(seat).cutAll();
    span.to = Date.now();
  },
  'kill ingress': async ({ crew }, fault) => killAndStart(crew, seatOf(crew.ingresses, fault), fault),
  'stop ingress': async ({ crew }, fault) => stopAndStart(crew, seatOf(crew.ingresses, fault), fault),
  'kill guard': async ({ crew }, fault) => killAndStart(crew, seatOf(crew.guards, fault), fault),
  'stop guard': async ({ crew }, fault) => stopAndStart(crew, seatOf(crew.guards, fault), fault),
  'pause guard': async ({ crew }, fault) => pause(lifeOf(seatOf(crew.guards, fault)), fault.lastsMs, true),
  'lose answers to guard': async ({ crew }, fault) => loseAnswers(seatOf(crew.guards, fault), fault),
  'cut guard off': async ({ crew }, fault) => cutOff(seatOf(crew.guards, fault), fault),
  'kill broker': async ({ brokers }, { target, lastsMs }) => {
    const node = nodeOf(brokers, target);
    await node.kill9();
    await delay(lastsMs);
    await node.restart();
  },
  'pause broker': async (targets, { target, lastsMs }) => {
    const { pid } = nodeOf(targets.brokers, target);
    process.kill(pid, 'SIGSTOP');
    await whileCutOff(targets, [target], lastsMs);
    process.kill(pid, 'SIGCONT');
  },
  ...STORES,
  ...PARTITIONS,
  ...LEADERS,
};

/**
 * Does all faults at their times; resolves when the last one is healed. Those of one target, or of one cluster's nodes, wait
 * for one another.
 */
export async function inflict(
  plan: readonly PlannedFault[],
  targets: Targets,
  say: (line: string) => void,
): Promise<FaultLine[]> {
  const start = Date.now();
  const done: FaultLine[] = [];
  const byTarget = new Map<string, Promise<void>>();
  for (const fault of plan) {
    await delay(Math.max(0, start + fault.at - Date.now()));
    const { of } = FAULT_TYPES[fault.kind];
    const target = `${of}-${fault.target}`;
    const queue = keyOf(of, fault.target);
    const run = async (): Promise<void> => {
      say(`${((Date.now() - start) / 1000).toFixed(1)} s: ${describe(fault)}`);
      const line = { kind: fault.kind, target, from: Date.now(), to: Number.POSITIVE_INFINITY };
      done.push(line);
      const problem = await DOING[fault.kind](targets, fault).then(
        (done) => void (typeof done === 'string' && say(`${fault.kind} ${fault.target}: ${done}`)),
        (error: unknown) => error,
      );
      if (problem !== undefined) targets.crew.mishaps.push(`${fault.kind} ${fault.target} did not heal: ${problem}`);
      line.to = Date.now();
    };
    byTarget.set(queue, (byTarget.get(queue) ?? Promise.resolve()).then(run));
  }
  await Promise.all(byTarget.values());
  return done;
}

function describe({ kind, target, lastsMs, jumpMs }: PlannedFault): string {
  const by = kind.startsWith('jump clock') ? ` by ${jumpMs} ms` : '';
  return `${kind} ${target}${by}, ${lastsMs} ms`;
}

async function pauseWorker({ crew }: Targets, fault: PlannedFault): Promise<void> {
  await pause(lifeOf(seatOf(crew.workers, fault)), fault.lastsMs, true);
}

async function pause({ service, stopped }: Life, ms: number, goesOn: boolean): Promise<void> {
  const span = { from: Date.now(), to: Number.POSITIVE_INFINITY };
  stopped.push(span);
  service.signal('SIGSTOP');
  await delay(ms);
  if (!goesOn) return;
  service.signal('SIGCONT');
  span.to = Date.now();
}

async function jumpClock({ clock }: Seat, { lastsMs, jumpMs }: PlannedFault): Promise<void> {
  clock.jump(jumpMs);
  await delay(lastsMs);
  clock.setRight();
}

async function cutOff(seat: Seat, { lastsMs }: PlannedFault): Promise<void> {
  const link = linkOf(seat);
  const span = cutSpan(lifeOf(seat));
  link.dropFromClient();
  link.dropFromServer();
  await delay(lastsMs);
  link.heal();
  span.to = Date.now();
}

async function loseAnswers(seat: Seat, { lastsMs }: PlannedFault): Promise<void> {
  const link = linkOf(seat);
  const span = cutSpan(lifeOf(seat));
  link.dropFromServer();
  await delay(lastsMs);
  link.heal();
  span.to = Date.now();
}

/** Open until the caller gives it an end. */
function cutSpan({ cutOff: spans }: Life): { from: number; to: number } {
  const span = { from: Date.now(), to: Number.POSITIVE_INFINITY };
  spans.push(span);
  return span;
}

async function killAndStart(crew: Crew, seat: Seat, { lastsMs, isRenamed }: PlannedFault): Promise<void> {
  await crew.kill(lifeOf(seat));
  await delay(lastsMs);
  await seat.start(isRenamed);
}

async function stopAndStart(crew: Crew, seat: Seat, { lastsMs, isRenamed }: PlannedFault): Promise<void> {
  await crew.stop(lifeOf(seat));
  await delay(lastsMs);
  await seat.start(isRenamed);
}

function linkOf({ link, role, target }: Seat): FaultProxy {
  if (link === undefined) throw new Error(`${role} ${target} has no link that can be broken`);
  return link;
}
