import { LeaseHandler, type Duty } from './lease-handler.js';
import type { OpenSession, ShardProgress, StoredLease } from './lease.js';
import { ListLogger, ManualLeases, ManualWork } from '../manual-ports.fixture.js';

/** For specs: one shard, and the handler that moves it. */

export const inHandoff = (session: string, from: number): OpenSession => ({ session, from, holder: 'b/1', since: 4 });
export const reached: ShardProgress = {
  read: 40,
  tail: 90,
  open: [{ session: 'main.s', from: 12 }, inHandoff('main.t', 30)],
};
export const further: ShardProgress = { ...reached, read: 44 };

/** The lease that another worker left. */
export const left = (owner: string | null, revision = 7): StoredLease => ({
  revision,
  lease: { v: 1, writeId: 'theirs', owner, ...reached, open: [...reached.open] },
});

export function setUpHandler() {
  const leases = new ManualLeases();
  const work = new ManualWork();
  const log = new ListLogger();
  const told: (readonly [number, StoredLease | undefined])[] = [];
  const tell = (shard: number, stored: StoredLease | undefined): void => void told.push([shard, stored]);
  let ids = 0;
  const handler = new LeaseHandler({
    ...{ leases, work, log },
    incarnation: 'a/1',
    newWriteId: () => `write-${++ids}`,
    onWritten: tell,
    onRefused: tell,
  });
  const duty: Duty = { shard: 3, state: 'away', isCertain: true, doubts: 0 };
  return { leases, work, log, told, handler, duty };
}

/** The shard is ours with the progress `reached`, at `revision`. */
export async function owned() {
  const parts = setUpHandler();
  const { handler, duty, leases, work } = parts;
  work.reached = reached;
  handler.acquire(duty, left(null), false);
  const revision = leases.last.stand();
  await handler.whenQuiet();
  work.calls.length = 0;
  return { ...parts, revision };
}
