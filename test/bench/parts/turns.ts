import type { BenchOptions } from '../options.js';
import { runSides, type Side, type SideFigures } from '../side-runs.js';
import type { Comparison, TargetName } from '../targets.js';
import { partOfWork } from '../work.js';
import { runChatSdk, runRedisQueue } from './peer-turns.js';
import { runRestate } from './restate-turns.js';
import { bareLoop, oursAtOnce, runOnStreams } from './stream-turns.js';

const IN_FLIGHT = 64;
/** Of the work: what waits for the disk at every write, or makes two thousand calls a second, has no need of more. */
const SLOW_SHARE = 1 / 4;

/** Committed turns a second: ours, a bare loop, and the peers, one after another in every run. */
export async function measureTurns(options: BenchOptions): Promise<Comparison[]> {
  const { runs, say } = options;
  return compare(await runSides(sidesOf(options), runs, (line) => say(`turns, ${line}`)));
}

function sidesOf({ messages, sessions, warmup, profileDir }: BenchOptions) {
  const work = { messages, sessions, warmup };
  const slowWork = partOfWork(work, SLOW_SHARE);
  const live = { work, isFull: false, syncsEveryWrite: false };
  const full = { work, isFull: true, syncsEveryWrite: false };
  const synced = { work: slowWork, isFull: false, syncsEveryWrite: true };
  /** As long as ours are, which the first run begins with. */
  let recordBytes = 0;
  const ours = (run: typeof live): Side => ({
    run: async () => {
      const measured = await runOnStreams(oursAtOnce(IN_FLIGHT, profileDir), run);
      ({ recordBytes } = measured);
      return measured;
    },
  });
  const bare = (run: typeof live, channel: 'public' | 'ours' = 'public'): Side => ({
    run: () => runOnStreams(bareLoop({ inFlight: IN_FLIGHT, recordBytes, channel }), run),
  });
  const peer = (run: Side['run']): Side => ({ isPeer: true, run });
  const peerWork = { work, inFlight: IN_FLIGHT };
  const slowPeerWork = { work: slowWork, inFlight: IN_FLIGHT };
  return {
    live: ours(live),
    liveBare: bare(live),
    liveBareOurs: bare(live, 'ours'),
    liveGroupmq: peer(() => runRedisQueue('groupmq', { ...peerWork, keeps: 'everysec', isFull: false })),
    liveGroupmqNothing: peer(() => runRedisQueue('groupmq', { ...peerWork, keeps: 'nothing', isFull: false })),
    liveBullmq: peer(() => runRedisQueue('bullmq', { ...peerWork, keeps: 'everysec', isFull: false })),
    liveChatSdk: peer(() => runChatSdk({ ...peerWork, keeps: 'everysec' })),
    liveChatSdkNothing: peer(() => runChatSdk({ ...peerWork, keeps: 'nothing' })),
    liveRestate: peer(() => runRestate(slowWork)),
    full: ours(full),
    fullBare: bare(full),
    fullBareOurs: bare(full, 'ours'),
    fullGroupmq: peer(() => runRedisQueue('groupmq', { ...peerWork, keeps: 'everysec', isFull: true })),
    fullGroupmqNothing: peer(() => runRedisQueue('groupmq', { ...peerWork, keeps: 'nothing', isFull: true })),
    fullBullmq: peer(() => runRedisQueue('bullmq', { ...peerWork, keeps: 'everysec', isFull: true })),
    synced: ours(synced),
    syncedBare: bare(synced),
    syncedGroupmq: peer(() => runRedisQueue('groupmq', { ...slowPeerWork, keeps: 'always', isFull: false })),
    syncedChatSdk: peer(() => runChatSdk({ ...slowPeerWork, keeps: 'always' })),
  };
}

type SideName = keyof ReturnType<typeof sidesOf>;
const OURS: readonly SideName[] = ['live', 'full', 'synced'];

/** Each baseline is named after what it stands beside. */
function compare(results: Readonly<Record<SideName, SideFigures>>): Comparison[] {
  return (Object.keys(results) as SideName[]).flatMap((name) => {
    const beside = OURS.find((ours) => name.startsWith(ours) && name !== ours);
    if (beside === undefined) return [];
    const [ours, baseline] = [results[beside], results[name]];
    return {
      target: name as Exclude<SideName, 'live' | 'full' | 'synced'> satisfies TargetName,
      ...{ ours: ours.figures, baseline: baseline.figures },
      ...{ ourCosts: ours.costs, baselineCosts: baseline.costs },
    };
  });
}
