import { describe, expect, it } from 'vitest';
import { jsonText, TASK_LIMITS } from '#contracts';
import { keepable, releaseOf, UNFINISHED, type HeldTaskState, type RunEnd } from './held-task.js';

const ofTurn = { name: 'T', message: 'the turn' };
const ofTask = { name: 'F', message: 'the task' };
const message = (state: HeldTaskState['state'] = 'idle'): HeldTaskState => ({ isOfMessage: true, state });
const own = (state: HeldTaskState['state']): HeldTaskState => ({
  ...{ isOfMessage: false, state },
  ...(state === 'failed' ? { error: ofTask } : {}),
});
const failed: RunEnd = { status: 'failed', error: ofTurn };
const FAILED_OWN = { status: 'failed', error: ofTask };

describe('how a task ends with its run', () => {
  it.each<[string, HeldTaskState, RunEnd, object]>([
    ['that of the message as the turn', message(), { status: 'succeeded' }, { status: 'succeeded' }],
    [
      'that of the message whatever own work under it came to',
      message('failed'),
      { status: 'succeeded' },
      { status: 'succeeded' },
    ],
    ['that of the message, failed', message(), failed, { status: 'failed', error: ofTurn }],
    [
      'that of the message, out of time',
      message(),
      { ...failed, status: 'timed_out' },
      { status: 'timed_out', error: ofTurn },
    ],
    ['that of the message, cancelled', message(), { status: 'cancelled' }, { status: 'cancelled' }],
    ['that of the message, interrupted', message(), { status: 'interrupted' }, { status: 'interrupted' }],
    ['one whose work threw, though the turn is good', own('failed'), { status: 'succeeded' }, FAILED_OWN],
    ['one whose work threw, with its own error', own('failed'), failed, FAILED_OWN],
    [
      'one whose work threw, of a turn that is out of time',
      own('failed'),
      { ...failed, status: 'timed_out' },
      FAILED_OWN,
    ],
    ['one whose work threw, of a refused turn', own('failed'), { status: 'rejected' }, FAILED_OWN],
    ['one whose work threw, of a cancelled turn', own('failed'), { status: 'cancelled' }, { status: 'cancelled' }],
    [
      'one that the handler did not await',
      own('working'),
      { status: 'succeeded' },
      { status: 'failed', error: UNFINISHED },
    ],
    ['an idle one', own('idle'), { status: 'succeeded' }, { status: 'succeeded' }],
    ['an idle one, of a turn without an error', own('idle'), { status: 'failed' }, { status: 'failed' }],
  ])('%s', (_title, held, end, how) => {
    expect(releaseOf(held, end, false)).toEqual(how);
  });

  it.each<[HeldTaskState, RunEnd, object]>([
    [message(), { status: 'cancelled' }, { status: 'failed', error: UNFINISHED }],
    [message(), failed, { status: 'failed', error: ofTurn }],
    [own('idle'), { status: 'succeeded' }, { status: 'failed', error: UNFINISHED }],
    [own('failed'), { status: 'cancelled' }, FAILED_OWN],
  ])('G2 %j of a handler that may still run is failed, however its turn ended', (held, end, how) => {
    expect(releaseOf(held, end, true)).toEqual(how);
  });
});

describe('the kept result of a task', () => {
  const cyclic: Record<string, unknown> = {};
  cyclic['self'] = cyclic;
  const nothing = { isTooLarge: false, kept: {} };
  const kept = (result: unknown) => ({ isTooLarge: false, kept: { result: jsonText(result) } });
  const tooLarge = { isTooLarge: true, kept: {} };
  it.each<[unknown, unknown]>([
    [undefined, nothing],
    [null, kept(null)],
    [() => {}, nothing],
    [Symbol('x'), nothing],
    [12345678901234567890n, kept(12345678901234567890n)],
    ['half \ud800', nothing],
    [cyclic, nothing],
    [Number.NaN, kept(null)],
    [{ a: undefined, b: new Date(0) }, kept({ b: '1970-01-01T00:00:00.000Z' })],
    // A text stays a text, also when it is the word for a fault of ours.
    ['too large', kept('too large')],
    ['x'.repeat(TASK_LIMITS.resultBytes - 2), kept('x'.repeat(TASK_LIMITS.resultBytes - 2))],
    ['x'.repeat(TASK_LIMITS.resultBytes - 1), tooLarge],
    ['ü'.repeat(TASK_LIMITS.resultBytes / 2), tooLarge],
  ])('case %#', (value, wanted) => {
    expect(keepable(value)).toEqual(wanted);
  });
});
