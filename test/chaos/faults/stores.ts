import { setTimeout as delay } from 'node:timers/promises';
import { connect } from '@nats-io/transport-node';
import { jetstreamManager } from '@nats-io/jetstream';
import { networkName, type Brokers } from '../brokers.js';
import type { FaultKind, PlannedFault } from '../plan.js';
import { slowLine } from './partitions.js';
import { nodeOf, type Doing, type Targets } from './targets.js';

const PATIENCE_MS = 2_000;
const SLOW_MS = 8_000;
const ASKED_TIMES = 3;

/**
 * What happens to the store of a node. It always comes back with the store that it had: one that is set back to a copy has
 * forgotten votes that it gave and entries that it acknowledged, and no RAFT promises anything then.
 */
export const STORES = {
  'keep broker away for long': async (targets, fault) =>
    away(targets, fault, () => nodeOf(targets.brokers, fault.target).restart()),
  'return broker on a slow line': async (targets, fault) =>
    away(targets, fault, async () => {
      const slow = await slowLine(targets, networkName('broker', fault.target), 'of a node');
      const caughtUp = nodeOf(targets.brokers, fault.target).restart();
      // On a narrow line it may never catch up with what goes on being written.
      await Promise.race([caughtUp, delay(SLOW_MS)]).finally(() => slow[Symbol.asyncDispose]());
      await caughtUp;
    }),
  /**
   * nats-server goes on by itself never: alone it leaves publishes to the stream unanswered whose write has failed, in a
   * cluster it turns JetStream off. So the operator makes room and starts it again; nothing of ours is started again.
   */
  'fill disk of broker': async ({ brokers }, { target, lastsMs }) => {
    const disk = brokers.disks[target];
    if (disk === undefined) throw new Error(`broker ${target} has no disk of its own`);
    await disk.fill();
    await delay(lastsMs);
    await disk.free();
    await nodeOf(brokers, target).restart();
  },
} as const satisfies Partial<Record<FaultKind, Doing>>;

async function away(
  { brokers }: Targets,
  { target, lastsMs }: PlannedFault,
  comeBack: () => Promise<void>,
): Promise<string> {
  // Asked while it is there: without the leader of the cluster the others say nothing for a while.
  const before = await writesOf(brokers);
  await nodeOf(brokers, target).kill9();
  await delay(lastsMs);
  const missed = (await writesOf(brokers)) - before;
  const start = Date.now();
  await comeBack();
  const what = Number.isNaN(missed) ? 'what it missed could not be asked' : `it missed ${missed} writes`;
  return `${what}, and it was healthy after ${Date.now() - start} ms`;
}

/** Of all streams so far; NaN when no node says it, e.g. in an election that takes long. */
async function writesOf({ nodes }: Brokers): Promise<number> {
  for (let asked = 0; asked < ASKED_TIMES; asked++) {
    for (const { url: servers } of nodes) {
      const writes = await writesAt(servers).catch(() => undefined);
      if (writes !== undefined) return writes;
    }
  }
  return Number.NaN;
}

async function writesAt(servers: string): Promise<number> {
  const nc = await connect({ servers, ignoreClusterUpdates: true, reconnect: false, timeout: PATIENCE_MS });
  try {
    const { streams } = await jetstreamManager(nc, { checkAPI: false, timeout: PATIENCE_MS });
    return (await streams.list().next()).reduce((sum, { state }) => sum + state.last_seq, 0);
  } finally {
    await nc.close();
  }
}
