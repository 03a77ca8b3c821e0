import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Names, TASK_LIMITS } from '#contracts';
import { bucketStream, type KeyBucket } from '#jetstream';
import { connectedBroker, expectNothingLeft, type ConnectedBroker } from '#testing';
import { failureOf, FailureReports, type TaskFailure } from './failure-reports.client.js';

const KEY = 'main/telegram:1::report';
const FAILED: TaskFailure = { runId: 'r1', token: 7, status: 'failed', error: { name: 'Error', message: 'disk full' } };

let connected: ConnectedBroker;
let names: Names;
let bucket: KeyBucket;
let reports: FailureReports;
let places = 0;

beforeAll(async () => void (connected = await connectedBroker()));

beforeEach(async () => {
  names = new Names(`n${places++}`, 16);
  await connected.makeStreams(names);
  bucket = connected.bucket(names.taskFailuresBucket);
  reports = new FailureReports(bucket, names, 3_600_000);
});

afterAll(async () => {
  await connected[Symbol.asyncDispose]();
  await expectNothingLeft();
});

describe('a recorded failure', () => {
  it('is found for the holding that failed, and for no other', async () => {
    await reports.report(KEY, FAILED);
    expect(await reports.find(KEY, { runId: 'r1', token: 7 })).toMatchObject(FAILED);
    expect(await reports.find(KEY, { runId: 'r1', token: 8 })).toBeUndefined();
    expect(await reports.find(KEY, { runId: 'r2', token: 7 })).toBeUndefined();
    expect(await reports.find('main/telegram:1::other', { runId: 'r1', token: 7 })).toBeUndefined();
  });

  it('without a token is found for any holding of its run', async () => {
    await reports.report(KEY, { runId: 'r1', status: 'failed' });
    expect(await reports.find(KEY, { runId: 'r1', token: 12 })).toMatchObject({ status: 'failed' });
  });

  it('may be written again, and is replaced by the failure of the next holding of its run', async () => {
    for (const token of [7, 7, 9]) await reports.report(KEY, { ...FAILED, token });
    expect(await reports.find(KEY, { runId: 'r1', token: 7 })).toBeUndefined();
    expect(await reports.find(KEY, { runId: 'r1', token: 9 })).toMatchObject({ token: 9 });
  });

  it('G2 is kept when a worker that was cut off later reports a former holding of the run', async () => {
    await reports.report(KEY, { ...FAILED, token: 9 });
    await reports.report(KEY, { ...FAILED, token: 7 });
    expect(await reports.find(KEY, { runId: 'r1', token: 9 })).toMatchObject({ token: 9 });
    await reports.report(KEY, { runId: 'r1', status: 'failed' });
    await reports.report(KEY, { ...FAILED, token: 7 });
    expect(await reports.find(KEY, { runId: 'r1', token: 12 })).toMatchObject({ status: 'failed' });
  });

  it('has a key for any task and any run, however long their names are', async () => {
    const key = `${'ö '.repeat(120)}::${'*.> '.repeat(30)}`;
    const runId = '文/.*>'.repeat(400);
    await reports.report(key, { ...FAILED, runId });
    expect(await reports.find(key, { runId, token: 7 })).toMatchObject({ runId });
  });

  it('is kept as long as the failed task would be', async () => {
    await reports.report(KEY, FAILED);
    const { stream, prefix } = bucketStream(names.taskFailuresBucket);
    const stored = await connected.reader.leaderLast(stream, `${prefix}>`);
    expect(stored?.header('Nats-TTL')).toBe('3600s');
  });

  it('that no worker has written is ignored', async () => {
    await reports.report(KEY, FAILED);
    const { stream, prefix } = bucketStream(names.taskFailuresBucket);
    const { subject = '', seq = 0 } = (await connected.reader.leaderLast(stream, `${prefix}>`)) ?? {};
    for (const [at, value] of [
      '',
      'no JSON',
      '{"v":2}',
      '{"v":1,"runId":"r1","token":7,"status":"succeeded"}',
    ].entries()) {
      await bucket.write(subject.slice(prefix.length), value, { expected: seq + at });
      expect(await reports.find(KEY, { runId: 'r1', token: 7 })).toBeUndefined();
    }
  });

  it('rejects when the broker does not confirm that it is stored: the caller has to report that', async () => {
    const silent = { read: async () => undefined, write: async () => ({ kind: 'unclear' as const }) };
    await expect(new FailureReports(silent, names, 'unlimited').report(KEY, FAILED)).rejects.toThrow(
      'does not confirm',
    );
  });
});

describe('a release', () => {
  it.each(['succeeded', 'cancelled', 'interrupted'] as const)('%s is not a failure', (status) =>
    expect(failureOf({ runId: 'r1' }, { status })).toBeUndefined(),
  );

  it.each(['failed', 'timed_out', 'rejected'] as const)(
    '%s is a failure, and is cut to what the guard accepts',
    async (status) => {
      const error = { name: 'n'.repeat(500), message: 'm'.repeat(5_000) };
      const failure = failureOf({ runId: 'r1', token: 3 }, { status, error });
      expect(failure).toMatchObject({ runId: 'r1', token: 3, status });
      await reports.report(KEY, failure as TaskFailure);
      const found = await reports.find(KEY, { runId: 'r1', token: 3 });
      expect(found?.error?.name).toHaveLength(TASK_LIMITS.errorNameChars);
      expect(found?.error?.message).toHaveLength(TASK_LIMITS.errorMessageChars);
    },
  );

  it('takes a text as the message of an error', () =>
    expect(failureOf({ runId: 'r1' }, { status: 'failed', error: 'no' })?.error).toEqual({
      name: 'Error',
      message: 'no',
    }));
});
