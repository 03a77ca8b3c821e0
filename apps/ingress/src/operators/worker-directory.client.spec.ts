import { describe, expect, it } from 'vitest';
import type { OpenSession, StoredLease } from '#shards';
import { WorkerDirectory } from './worker-directory.client.js';

function directoryOf(
  members: Record<string, object | string>,
  leases: Record<number, { owner: string | null; open?: OpenSession[] }>,
  versions = { current: 0, ingress: 0 },
): WorkerDirectory {
  const entries = Object.entries(members).map(([key, value]) => ({
    key,
    revision: 1,
    value: typeof value === 'string' ? value : JSON.stringify(value),
  }));
  const stored = Object.entries(leases).map(([shard, { owner, open = [] }]): [number, StoredLease] => [
    Number(shard),
    { revision: 1, lease: { v: 1, writeId: 'x', owner, read: 0, tail: 0, open } },
  ]);
  return new WorkerDirectory(
    { readMany: () => Promise.resolve(entries) },
    { readAll: () => Promise.resolve(new Map(stored)) },
    16,
    { version: versions.ingress, newestVersion: () => Promise.resolve(versions.current) },
  );
}

const member = (id: string, more: object = {}) => ({ v: 1, incarnation: `${id}/1`, draining: false, ...more });

describe('the list of workers', () => {
  it('tells what each says of itself and which shards are its own, by name', async () => {
    const told = { capacity: 1_000, running: 3, leaked: 0, discarded: 1, version: '0.2.0', agents: ['main'] };
    const directory = directoryOf(
      { w2: member('w2', { draining: true }), w1: member('w1', { ...told, startedAt: 5, somethingLater: {} }) },
      { 0: { owner: 'w1/1' }, 1: { owner: 'w1/1' }, 2: { owner: 'w2/1' }, 9: { owner: 'w1/1' }, 10: { owner: null } },
    );
    expect(await directory.list()).toEqual({
      workers: [
        { worker: 'w1', incarnation: 'w1/1', draining: false, ...told, startedAt: 5, shards: 3, shardList: '0-1,9' },
        { worker: 'w2', incarnation: 'w2/1', draining: true, shards: 1, shardList: '2' },
      ],
      shards: { total: 16, owned: 4, unowned: 12, held: 0 },
    });
  });

  it('tells which version of the settings each acts on, beside the one that stands there now', async () => {
    const workers = { w1: member('w1', { settingsVersion: 3 }), w2: member('w2', { settingsVersion: 2 }) };
    const list = await directoryOf(workers, {}, { current: 3, ingress: 2 }).list();
    expect(list.workers.map(({ settingsVersion }) => settingsVersion)).toEqual([3, 2]);
    expect(list.settings).toEqual({ current: 3, ingress: 2 });
  });

  it('of an installation without workers is empty', async () => {
    expect(await directoryOf({}, {}).list()).toEqual({
      workers: [],
      shards: { total: 16, owned: 0, unowned: 16, held: 0 },
    });
  });

  it('counts a shard of a former life as unowned, and held sessions wherever they are', async () => {
    const held = { session: 'main.a', from: 3, holder: 'w1/1' };
    const directory = directoryOf(
      { w1: member('w1') },
      {
        0: { owner: 'w1/0', open: [held, { session: 'main.b', from: 4 }] },
        1: { owner: null, open: [held] },
      },
    );
    const { workers, shards } = await directory.list();
    expect(workers).toEqual([{ worker: 'w1', incarnation: 'w1/1', draining: false, shards: 0 }]);
    expect(shards).toEqual({ total: 16, owned: 0, unowned: 16, held: 2 });
  });

  it('leaves out what is no member, and fields that are not what they should be', async () => {
    const directory = directoryOf({ x: 'rubbish', y: { v: 2 }, w1: member('w1', { running: 'many', agents: 7 }) }, {});
    expect((await directory.list()).workers).toEqual([
      { worker: 'w1', incarnation: 'w1/1', draining: false, shards: 0 },
    ]);
  });
});
