import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { jetstreamManager, RetentionPolicy, StorageType } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  expectNothingLeft,
  startBroker,
  startService,
  tempDir,
  type ServiceProcess,
  type TempDir,
  type TestBroker,
} from '#testing';

let broker: TestBroker;
let dir: TempDir;

beforeEach(async () => {
  broker = await startBroker();
  dir = await tempDir('worker');
});
afterEach(async () => {
  await dir.remove();
  await broker[Symbol.asyncDispose]();
  await expectNothingLeft();
});

async function withManager<T>(fn: (jsm: Awaited<ReturnType<typeof jetstreamManager>>) => Promise<T>): Promise<T> {
  const nc = await connect({ servers: broker.url });
  try {
    return await fn(await jetstreamManager(nc));
  } finally {
    await nc.close();
  }
}

function startWorker(env: NodeJS.ProcessEnv = {}): Promise<ServiceProcess> {
  return startService({
    args: ['worker'],
    cwd: dir.path,
    env: { LANEKEEPER_NATS_URL: broker.url, LANEKEEPER_LOG_LEVEL: 'error', ...env },
  });
}

it('streams are created as declared, and what drifted and may change is put right', async () => {
  await (await startWorker()).stop();
  await withManager(async (jsm) => {
    const { config } = await jsm.streams.info('LK_EVENTS');
    await jsm.streams.update('LK_EVENTS', { ...config, max_age: 3_600e9, allow_direct: false });
  });
  await (await startWorker()).stop();
  const config = await withManager(async (jsm) => (await jsm.streams.info('LK_EVENTS')).config);
  expect(config).toMatchObject({ allow_direct: true, max_age: 24 * 3_600 * 1e9 });
});

it('another window for ids holds from the next start on, longer or shorter, also for numbers', async () => {
  for (const windowMs of [60_000, 5_000, 900_000]) {
    await writeFile(join(dir.path, 'lanekeeper.yaml'), `dedup: {windowMs: ${windowMs}}\n`);
    await (await startWorker()).stop();
    const [inbox, numbers] = await withManager((jsm) =>
      Promise.all(['LK_INBOX', 'KV_lk_numbers'].map(async (stream) => (await jsm.streams.info(stream)).config)),
    );
    expect(inbox).toMatchObject({ duplicate_window: windowMs * 1e6 });
    expect(numbers).toMatchObject({ max_age: windowMs * 1e6 });
  }
});

it('a difference that cannot be reconciled stops the start: stream, field, wanted, found, remedy', async () => {
  await withManager(async (jsm) => {
    await jsm.streams.add({
      name: 'LK_TURNS',
      subjects: ['lk.turns.*.*.*'],
      storage: StorageType.Memory,
      retention: RetentionPolicy.Workqueue,
    });
  });
  const message = await startWorker().then(
    () => 'it started',
    (error: Error) => error.message,
  );
  expect(message).toContain('stream LK_TURNS, storage: wanted "file", found "memory"; ');
  expect(message).toContain('stream LK_TURNS, retention: wanted "limits", found "workqueue"; ');
  expect(message).toMatch(/use another namespace \(LANEKEEPER_NAMESPACE\)/);
  expect(message).not.toMatch(/\n\s+at /);
});

it('another number of shards is refused: it is written into the stream', async () => {
  await (await startWorker()).stop();
  await writeFile(join(dir.path, 'lanekeeper.yaml'), 'shards: 128\n');
  await expect(startWorker()).rejects.toThrow(
    /stream LK_INBOX, subject_transform: wanted .*partition\(128.*found .*partition\(64/,
  );
});

it('two namespaces share a broker', async () => {
  await using one = await startWorker();
  await using two = await startWorker({ LANEKEEPER_NAMESPACE: 'other' });
  expect(one.pid).not.toBe(two.pid);
  const streams = await withManager(async (jsm) => (await jsm.streams.names().next()).toSorted());
  const kinds = ['DEAD', 'EVENTS', 'INBOX', 'TURNS'];
  const buckets = ['lk', 'other'].flatMap((ns) =>
    ['members', 'numbers', 'settings', 'shards', 'task_failures', 'tasks'].map((kind) => `KV_${ns}_${kind}`),
  );
  expect(streams).toEqual([...buckets, ...['LK', 'OTHER'].flatMap((ns) => kinds.map((kind) => `${ns}_${kind}`))]);
});
