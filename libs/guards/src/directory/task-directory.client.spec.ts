import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Names, TASK_STATES, type TaskView } from '#contracts';
import type { KeyBucket } from '#jetstream';
import { connectedBroker, expectNothingLeft, type ConnectedBroker } from '#testing';
import { KvTaskStore } from '../tasks/kv-task-store.client.js';
import { TaskDirectory, type TaskQuery } from './task-directory.client.js';
import type { TaskEntry } from '../tasks/task-entry.js';
import { entryIn, START, TTL_MS } from '../tasks/tasks.fixture.js';

const NOW = START + 5_000;

describe('the tasks on the broker', () => {
  let connected: ConnectedBroker;
  let names: Names;
  let store: KvTaskStore;
  let bucket: KeyBucket;
  let directory: TaskDirectory;
  let places = 0;

  beforeAll(async () => void (connected = await connectedBroker()));

  beforeEach(async () => {
    names = new Names(`n${places++}`, 16);
    await connected.makeStreams(names);
    bucket = connected.bucket(names.tasksBucket);
    store = new KvTaskStore(bucket, names);
    directory = new TaskDirectory(connected.reader, names);
  });

  afterAll(async () => {
    await connected[Symbol.asyncDispose]();
    await expectNothingLeft();
  });

  async function put(key: string, entry: TaskEntry): Promise<void> {
    const { revision } = await store.read(key);
    expect(await store.write(key, { ...entry, key }, { expected: revision })).toMatchObject({ kind: 'written' });
  }

  const list = (query: Partial<TaskQuery> = {}, now = NOW) => directory.list({ limit: 100, after: 0, ...query }, now);
  const keysOf = ({ tasks }: { readonly tasks: readonly TaskView[] }) => tasks.map(({ key }) => key);

  it('are none at first', async () => expect(await list()).toEqual({ tasks: [] }));

  it('are shown as they are now, the longest unchanged first', async () => {
    for (const state of TASK_STATES) await put(`s::${state}`, entryIn(state));
    await put('s::running', entryIn('running'));
    const [first, ...others] = TASK_STATES;
    const { tasks, next } = await list();
    expect(next).toBeUndefined();
    expect(tasks.map(({ state }) => state)).toEqual([...others, first]);
    expect(tasks.at(-1)).toMatchObject({ key: 's::running', runId: 'r1', token: 7, startedAt: START });
    expect(tasks.at(-1)).not.toHaveProperty('requestId');
    const later = await list({}, START + TTL_MS);
    expect(later.tasks.at(-1)).toMatchObject({ key: 's::running', state: 'stale', staleCount: 1 });
  });

  it('that run or wait are found after any number of tasks that succeeded or were cancelled', async () => {
    for (const name of ['a', 'b', 'c']) await put(`s::${name}`, entryIn('succeeded'));
    for (const state of TASK_STATES) await put(`s::${state}`, entryIn(state));
    const open = TASK_STATES.filter((state) => state !== 'succeeded' && state !== 'cancelled');
    expect(keysOf(await list({ isOpen: true, limit: 2 }))).toEqual(open.slice(0, 2).map((state) => `s::${state}`));
    expect(keysOf(await list({ isOpen: true }))).toEqual(open.map((state) => `s::${state}`));
  });

  it('have the revision of their write as token when that write began the holding', async () => {
    await put('s::a', entryIn('failed'));
    await put('s::b', { ...entryIn('running'), token: 0 });
    expect((await list()).tasks.map(({ token }) => token)).toEqual([7, 2]);
  });

  it('are found by their current state', async () => {
    for (const state of TASK_STATES) await put(`s::${state}`, entryIn(state));
    for (const state of TASK_STATES) expect(keysOf(await list({ state }))).toEqual([`s::${state}`]);
    expect(keysOf(await list({ state: 'stale' }, START + TTL_MS))).toEqual(['s::running', 's::stale']);
    expect(keysOf(await list({ state: 'running' }, START + TTL_MS))).toEqual([]);
  });

  it('are found by their whole scope, and not by a part of it', async () => {
    const keys = ['main/telegram:-1::a', 'main/telegram:-1::b', 'main/telegram:-12::a', 'nightly::a', 'main', 'a'];
    for (const key of keys) await put(key, entryIn('failed'));
    expect(keysOf(await list({ scope: 'main/telegram:-1' }))).toEqual(keys.slice(0, 2));
    expect(keysOf(await list({ scope: 'nightly' }))).toEqual(['nightly::a']);
    expect(keysOf(await list({ scope: 'main' }))).toEqual([]);
    expect(keysOf(await list({ scope: '>' }))).toEqual([]);
    expect(keysOf(await list())).toEqual(keys);
  });

  it('come in pages, each once, however many there are', async () => {
    const keys = Array.from({ length: 300 }, (_, i) => `s${i % 3}::task-${i}`);
    await Promise.all(keys.map((key, i) => put(key, entryIn(i % 2 === 0 ? 'failed' : 'running'))));
    const pagesOf = async (query: Partial<TaskQuery>) => {
      const pages: string[][] = [];
      for (let after: number | undefined = 0; after !== undefined;) {
        const page: Awaited<ReturnType<typeof list>> = await list({ ...query, after });
        pages.push(keysOf(page));
        after = page.next;
      }
      return pages;
    };
    const all = await pagesOf({ limit: 70 });
    expect(all.map(({ length }) => length)).toEqual([70, 70, 70, 70, 20]);
    expect(all.flat().toSorted()).toEqual(keys.toSorted());
    const failed = await pagesOf({ limit: 40, state: 'failed' });
    expect(failed.flat().toSorted()).toEqual(keys.filter((_, i) => i % 2 === 0).toSorted());
    const scoped = await pagesOf({ limit: 7, scope: 's1' });
    expect(scoped.flat().toSorted()).toEqual(keys.filter((_, i) => i % 3 === 1).toSorted());
    expect(keysOf(await list({ limit: 1_000 }))).toHaveLength(300);
  });

  it('leave out values that no guard has written, and removed keys', async () => {
    await put('s::a', entryIn('failed'));
    await bucket.write(names.taskKey('s::text'), 'hello', { expected: 0 });
    await bucket.write(names.taskKey('s::version'), JSON.stringify({ ...entryIn('failed'), v: 2 }), { expected: 0 });
    await bucket.write(names.taskKey('s::elsewhere'), JSON.stringify(entryIn('failed')), { expected: 0 });
    await bucket.write('=3a.b', JSON.stringify(entryIn('failed')), { expected: 0 });
    await put('s::removed', entryIn('failed'));
    await bucket.remove(names.taskKey('s::removed'), (await store.read('s::removed')).revision);
    await put('s::b', entryIn('failed'));
    expect(keysOf(await list())).toEqual(['s::a', 's::b']);
    expect(keysOf(await list({ limit: 1 }))).toEqual(['s::a']);
  });
});
