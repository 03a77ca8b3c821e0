import type { CancelTarget } from '#contracts';
import type { FormerOwners } from '../runner/handoffs.js';
import { setUpProcess, type ProcessOptions } from './lane-process.fixture.js';
import { ManualClock, MemoryRecords, sessionKey } from './lane-runner.fixture.js';
import type { LaneProgress } from '../runner/shard-lanes.js';

export type Process = ReturnType<typeof setUpProcess>;

export const WHOLE_SESSION: CancelTarget = { what: 'session' };

/** Several processes over the same records, which hand shard 0 on to each other. */
export function setUpHandoffs() {
  const clock = new ManualClock();
  const records = new MemoryRecords();
  const processes = new Map<string, Process>();
  const gone = new Set<string>();
  const asked: string[] = [];
  const passed: { holder: string; session: string; target: CancelTarget }[] = [];
  /** Whether what is passed on reaches the holder. */
  const line = { isCut: false };
  const formerOwners: FormerOwners = {
    isGone: (incarnation) => {
      asked.push(incarnation);
      return Promise.resolve(gone.has(incarnation));
    },
    passCancel: (holder, key, target) => {
      passed.push({ holder, session: key.sessionToken, target });
      if (!line.isCut) processes.get(holder)?.runner.work.cancelInHandoff(key, target);
    },
  };
  const start = (worker: string, options: ProcessOptions = {}): Process => {
    const process = setUpProcess({ records, clock, worker, formerOwners, ...options });
    processes.set(worker, process);
    return process;
  };
  /** A runs a turn of session a, and the shard goes from it to B. */
  const heldByA = async (options: ProcessOptions = {}): Promise<{ a: Process; b: Process; from: LaneProgress }> => {
    const a = start('A/1');
    await a.receive('a', 1);
    await clock.advance(60);
    const from = await a.runner.releaseShard(0);
    const b = start('B/1', { from, ...options });
    await b.receive('a', 1);
    b.runner.receivedOpen(sessionKey('a'));
    b.runner.caughtUp(0);
    return { a, b, from };
  };
  return { clock, records, gone, asked, passed, line, formerOwners, start, heldByA };
}

export const seqsOf = (process: Process, session = 'a') => process.started(session).map(({ seqs }) => seqs);
