import type { LaneEvent, QueueSettings } from '#contracts';
import { decisionsOf, setUpProcess, type ProcessOptions } from './lane-process.fixture.js';
import { rawMessage, sessionKey, settled, UNBOUNDED } from './lane-runner.fixture.js';

/**
 * Session a under these settings; messages are stored when they arrive. A process that takes over has to say when it has
 * caught up.
 */
export function setUpSession(queueing: Partial<QueueSettings>, options: ProcessOptions = {}) {
  const events: LaneEvent[] = [];
  const process = setUpProcess({ ...options, onEvent: (_key, event) => void events.push(event) });
  process.turns.queueing = { ...UNBOUNDED, ...queueing };
  const { clock, runner, turns, records } = process;
  if (options.isRecovery !== true) runner.caughtUp(0);
  const send = async (seq: number, body: object | string = {}): Promise<void> => {
    runner.receive(sessionKey('a'), { ...rawMessage(seq, body), storedAtMs: clock.now() });
    await settled();
  };
  const sendAll = async (...seqs: number[]): Promise<void> => {
    for (const seq of seqs) await send(seq);
  };
  const batches = () => turns.started.map(({ seqs }) => [...seqs]);
  const running = () => turns.active.get('a')?.seqs;
  /** First messages of all that runs. */
  const runningAll = () => turns.of('a').map(({ seqs }) => seqs[0]);
  const last = () => records.of('a').at(-1);
  const decisions = () => decisionsOf(records.of('a'));
  const told = () => events.map((event) => event.type);
  const sends = () => records.of('a').flatMap((record) => (record.kind === 'note' ? (record.sends ?? []) : []));
  return { ...process, send, sendAll, batches, running, runningAll, last, decisions, events, told, sends };
}
