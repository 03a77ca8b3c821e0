import { describe, expect, it } from 'vitest';
import { makeRunId, QUEUE_DEFAULTS, type Head } from '#contracts';
import { QUARANTINE_CRASHES } from './after-crash.js';
import { broken, item, key, loaded, NOW, openLane, recordRun, seqsOf, takenOver } from './lane.fixture.js';

describe('cut turn', () => {
  const cut = { runId: 'cut', seqs: [1, 3], attempt: 1, headSeq: 7 };

  it('L4 L7 runs again with the same id and messages, as the next attempt, after a note that fences its former runner', () => {
    const lane = takenOver([item(1), item(2), item(3)], { cut });
    const run = { runId: 'cut', seqs: [1, 3], attempt: 2, crashes: 1 };
    expect(lane.serial.prepareNote()).toEqual(run);
    recordRun(lane);
    expect(lane.head.run).toEqual(run);
    expect(lane.serial.prepareNote()).toBeUndefined();
    const batch = lane.serial.take(NOW);
    expect(batch).toMatchObject({ runId: 'cut', attempt: 2, crashes: 1, failures: 0 });
    expect(seqsOf(batch.items)).toEqual([1, 3]);
  });

  it.each<[string, Partial<Head>]>([
    ['decided by the cursor', { upto: 1 }],
    ['decided by a range', { done: [[3, 3]] }],
    ['older than another run', { run: { runId: 'other', seqs: [2], attempt: 1, crashes: 0 } }],
  ])('is ignored when it is %s', (_title, head) => {
    const lane = takenOver([item(1), item(2), item(3)], { head: loaded(head), cut });
    expect(lane.serial.prepareNote()?.runId).not.toBe('cut');
  });

  it('is void when a record stands behind it: the attempt that it names has ended, or is counted there', () => {
    const run = { runId: 'cut', seqs: [1, 3], attempt: 2, crashes: 0, notBefore: NOW + 500 };
    const lane = takenOver([item(1), item(2), item(3)], { head: loaded({ run }, 8), cut });
    expect([lane.serial.prepareNote(), lane.serial.retryAt, lane.serial.canTake(NOW + 499)]).toEqual([
      undefined,
      NOW + 500,
      false,
    ]);
    expect(lane.serial.take(NOW + 500)).toMatchObject({ runId: 'cut', attempt: 2, crashes: 0 });
    // Nor one of another run: what the head has is what was to come.
    const other = { ...run, runId: 'other' };
    const another = takenOver([item(1), item(3)], { head: loaded({ run: other }), cut });
    expect([another.serial.prepareNote(), another.serial.next]).toEqual([undefined, other]);
    // Nor does a hint count that begins behind a record which is gone: the stream was restored from a backup.
    const restored = takenOver([item(1), item(3)], { head: loaded({}, 6), cut });
    expect(restored.serial.prepareNote()).toMatchObject({ runId: makeRunId(key, [1, 3]), attempt: 2, crashes: 1 });
  });

  it('says no count of its own: what the head has of its run counts', () => {
    const run = { runId: 'cut', seqs: [1, 3], attempt: 4, crashes: 1, failures: 2 };
    const lane = takenOver([item(1), item(3)], { head: loaded({ run }), cut: { ...cut, attempt: 9 } });
    expect(lane.serial.prepareNote()).toEqual({ ...run, attempt: 5, crashes: 2, quarantined: true });
  });

  it('began a retry whose time, by our clock, has not come', () => {
    const run = { runId: 'cut', seqs: [1, 3], attempt: 2, crashes: 0, notBefore: NOW + 500 };
    const lane = takenOver([item(1), item(3)], { head: loaded({ run }), cut });
    expect(lane.serial.canTake(NOW)).toBe(true);
    expect(lane.serial.prepareNote()).toEqual({ runId: 'cut', seqs: [1, 3], attempt: 3, crashes: 1 });
  });

  it('is no ground to wait for ever for messages that are gone; what is left may have been begun all the same', () => {
    const lane = takenOver([item(3), item(4)], { cut, upTo: 0 });
    expect([lane.isIncomplete, lane.serial.canTake(NOW)]).toEqual([true, false]);
    lane.giveUpOnMissing();
    expect(lane.serial.prepareNote()).toEqual({ runId: makeRunId(key, [3, 4]), seqs: [3, 4], attempt: 2, crashes: 1 });
  });
});

describe('after a crash', () => {
  const run = { runId: 'r', seqs: [2], attempt: 3, crashes: 0, failures: 1 };

  it('L4 what left no sign may have been begun all the same, up to the last message that was there', () => {
    const lane = takenOver([item(4), item(5)], { upTo: 4 });
    expect(lane.serial.prepareNote()).toEqual({ runId: makeRunId(key, [4, 5]), seqs: [4, 5], attempt: 2, crashes: 1 });
    const later = takenOver([item(5)], { upTo: 4 });
    expect(later.serial.prepareNote()).toBeUndefined();
    expect(later.serial.take(NOW)).toMatchObject({ attempt: 1, crashes: 0 });
  });

  it('L7 what is to be recorded is frozen, whatever arrives while the note is on its way', () => {
    const lane = takenOver([item(4)], { upTo: 4 });
    const first = lane.serial.prepareNote();
    lane.arrive(item(5), 0);
    expect(lane.serial.prepareNote()).toEqual(first);
    recordRun(lane);
    expect(seqsOf(lane.serial.take(NOW).items)).toEqual([4]);
    expect(lane.serial.batch).toMatchObject({ runId: first?.runId, attempt: 2, crashes: 1 });
  });

  it('counts each crash once, keeps the failures, and the next attempt runs at once', () => {
    const lane = takenOver([item(2)], { head: loaded({ run: { ...run, notBefore: NOW } }) });
    expect(lane.serial.canTake(NOW)).toBe(true);
    expect(lane.serial.prepareNote()).toEqual({ ...run, attempt: 4, crashes: 1 });
    recordRun(lane);
    expect(lane.serial.take(NOW)).toMatchObject({ attempt: 4, crashes: 1, failures: 1, isQuarantined: false });
  });

  it('a retry whose time had not come was not running, and nothing behind it was either', () => {
    const waiting = { ...run, notBefore: NOW + 1 };
    const lane = takenOver([item(2), item(3)], { head: loaded({ run: waiting }), upTo: 3 });
    expect([lane.serial.prepareNote(), lane.serial.next, lane.serial.retryAt]).toEqual([undefined, waiting, NOW + 1]);
    lane.serial.take(NOW + 1);
    lane.resumeFrom(loaded({ upto: 2 }, 8));
    lane.serial.end(0);
    expect(lane.serial.prepareNote()).toBeUndefined();
    expect(lane.serial.take(NOW)).toMatchObject({ attempt: 1, items: [{ seq: 3 }] });
  });

  it('the second crash puts it into quarantine, with the note that counts it', () => {
    const lane = takenOver([item(2)], { head: loaded({ run: { ...run, crashes: QUARANTINE_CRASHES - 1 } }) });
    expect(lane.serial.needsQuarantine).toBe(true);
    expect(lane.serial.prepareNote()).toEqual({ ...run, attempt: 4, crashes: 2, quarantined: true });
    recordRun(lane);
    expect([lane.serial.needsQuarantine, lane.serial.prepareNote()]).toEqual([true, undefined]);
    expect(lane.serial.take(NOW)).toMatchObject({ crashes: 2, isQuarantined: true, isCondemned: false });
    expect(lane.serial.attemptInWork).toEqual({ ...run, attempt: 4, crashes: 2, quarantined: true });
  });

  it('what waited for its quarantine did not run: nothing is counted', () => {
    const lane = takenOver([item(2)], { head: loaded({ run: { ...run, crashes: 2 } }) });
    expect(lane.serial.prepareNote()).toEqual({ ...run, crashes: 2, quarantined: true });
  });

  it('what was begun in quarantine is condemned: it is taken at once, and nothing has to be recorded before', () => {
    const lane = takenOver([item(2)], { head: loaded({ run: { ...run, crashes: 2, quarantined: true } }) });
    expect([lane.serial.needsQuarantine, lane.serial.prepareNote(), lane.serial.canTake(NOW)]).toEqual([
      false,
      undefined,
      true,
    ]);
    expect(lane.serial.take(NOW)).toMatchObject({ runId: 'r', attempt: 3, crashes: 2, isCondemned: true });
  });

  it('a quarantined attempt that failed goes into quarantine again, by a note of its own', () => {
    const lane = openLane([item(2)], loaded({ run: { ...run, crashes: 2 } }));
    expect([lane.serial.needsQuarantine, lane.serial.prepareNote()]).toEqual([
      true,
      { ...run, crashes: 2, quarantined: true },
    ]);
  });

  it.each<[string, Partial<Head['run'] & object>]>([
    ['what still has to be recorded', { crashes: 0 }],
    ['that it is condemned', { crashes: 2, quarantined: true }],
  ])('a record of ours about other messages does not make it forget %s', (_title, change) => {
    const head = { run: { ...run, ...change } };
    const lane = takenOver([item(2), broken(3)], { head: loaded(head) });
    const before = [lane.serial.prepareNote(), lane.serial.needsQuarantine, lane.serial.next];
    lane.wrote(loaded({ ...head, done: [[3, 3]] }, 8));
    expect([lane.serial.prepareNote(), lane.serial.needsQuarantine, lane.serial.next]).toEqual(before);
    expect(lane.serial.take(NOW).isCondemned).toBe('quarantined' in change);
  });

  it("another's record says better what is next", () => {
    const lane = takenOver([item(2)], { head: loaded({ run: { ...run, crashes: 2, quarantined: true } }) });
    lane.resumeFrom(loaded({ run: { ...run, attempt: 4, notBefore: NOW } }, 8));
    expect(lane.serial.prepareNote()).toBeUndefined();
    expect(lane.serial.take(NOW)).toMatchObject({ attempt: 4, isCondemned: false });
  });

  it('a part of it that our own record decides ends it', () => {
    const two = { ...run, seqs: [2, 3] };
    const lane = takenOver([item(2), item(3)], { head: loaded({ run: two }) });
    lane.wrote(loaded({ upto: 2, run: null }, 8));
    expect([lane.serial.next, lane.serial.prepareNote()]).toEqual([undefined, undefined]);
    expect(lane.serial.take(NOW)).toMatchObject({ attempt: 1, items: [{ seq: 3 }] });
  });
});

it('L4 a concurrent message that may have begun at a dead owner never begins as a fresh one, frozen or not', () => {
  const lane = takenOver([], { upTo: 2 });
  const queueing = { ...QUEUE_DEFAULTS, strategy: 'concurrent' as const };
  for (const seq of [1, 2, 3]) lane.arrive({ ...item(seq), queueing }, 0);
  expect([...lane.concurrent.startable(NOW)]).toEqual([]);
  lane.concurrent.freezeBegun();
  const next = [...lane.concurrent.startable(NOW)].map(({ next: frozen }) => frozen?.seqs);
  expect(next).toEqual([[1], [2]]);
});
