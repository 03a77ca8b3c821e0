import { describe, expect, it } from 'vitest';
import { jsonText } from '#contracts';
import type { ManualClock } from '#testing';
import { UnreadableTaskError } from './task-guard.js';
import type { TaskEntry } from './task-entry.js';
import type { TaskStore } from './task-store.js';
import { entryIn, guardOver, KEY, request, START, TTL_MS } from './tasks.fixture.js';

export interface StoreUnderTest {
  /** New and empty. The guards use `clock`, and so does the store if it has none of its own. */
  readonly store: TaskStore;
  readonly clock: ManualClock;
  /** Resolves when a key that is kept for a second is gone. */
  untilGone(key: string): Promise<void>;
}

const KEPT_MS = 1_000;
const RUNNING = entryIn('running');

/** What guards expect of every store of tasks. Title of a spec: the kind of store. */
export function describeTaskStore(title: string, make: () => Promise<StoreUnderTest>): void {
  describe(`${title}: a store of tasks`, () => {
    it('has nothing, at revision 0, before the first write', async () => {
      const { store } = await make();
      expect(await store.read(KEY)).toEqual({ entry: undefined, revision: 0 });
    });

    it('returns what was written, with its revision', async () => {
      const { store } = await make();
      const written = await store.write(KEY, RUNNING, { expected: 0 });
      expect(written).toEqual({ kind: 'written', revision: expect.any(Number) });
      const { revision } = written as { revision: number };
      expect(await store.read(KEY)).toEqual({ entry: RUNNING, revision });
      expect(await store.read('another key')).toEqual({ entry: undefined, revision: 0 });
    });

    it('makes the revision of a write that begins a holding its token (G4)', async () => {
      const { store } = await make();
      await store.write('other', RUNNING, { expected: 0 });
      const written = await store.write(KEY, { ...RUNNING, token: 0 }, { expected: 0 });
      const { revision } = written as { revision: number };
      expect(await store.read(KEY)).toEqual({ entry: { ...RUNNING, token: revision }, revision });
    });

    it('accepts a write only over the current revision', async () => {
      const { store } = await make();
      const { revision } = (await store.write(KEY, RUNNING, { expected: 0 })) as { revision: number };
      const other = entryIn('failed');
      for (const expected of [0, revision - 1, revision + 1]) {
        if (expected === revision) continue;
        expect(await store.write(KEY, other, { expected })).toEqual({ kind: 'conflict' });
      }
      expect(await store.read(KEY)).toEqual({ entry: RUNNING, revision });
      expect(await store.write(KEY, other, { expected: revision })).toMatchObject({ kind: 'written' });
      expect(await store.write(KEY, other, { expected: revision })).toEqual({ kind: 'conflict' });
    });

    it('lets one of many simultaneous writes through', async () => {
      const { store } = await make();
      const all = Array.from({ length: 50 }, () => store.write(KEY, RUNNING, { expected: 0 }));
      const kinds = (await Promise.all(all)).map(({ kind }) => kind);
      expect(kinds.filter((kind) => kind === 'written')).toHaveLength(1);
      expect(kinds.filter((kind) => kind === 'conflict')).toHaveLength(49);
    });

    it('never reuses a revision: they grow over all keys, including removed ones', async () => {
      const { store, untilGone } = await make();
      const revisions: number[] = [];
      const write = async (key: string, expected: number, ttlMs?: number) => {
        const written = await store.write(key, RUNNING, { expected, ttlMs });
        if (written.kind !== 'written') throw new Error(written.kind);
        revisions.push(written.revision);
        return written.revision;
      };
      await write('b', await write('b', 0));
      await write(KEY, 0, KEPT_MS);
      await untilGone(KEY);
      const gone = await store.read(KEY);
      expect(gone.entry).toBeUndefined();
      await write(KEY, gone.revision);
      await write('c', 0);
      expect(revisions).toEqual([...new Set(revisions)].toSorted((a, b) => a - b));
    });

    it('refuses a write over an entry that was removed between the read and the write', async () => {
      const { store, untilGone } = await make();
      const { revision } = (await store.write(KEY, RUNNING, { expected: 0, ttlMs: KEPT_MS })) as { revision: number };
      await untilGone(KEY);
      expect(await store.write(KEY, RUNNING, { expected: revision })).toEqual({ kind: 'conflict' });
    });

    it('keeps an entry for ever that replaces one with a time to live', async () => {
      const { store, untilGone } = await make();
      const { revision } = (await store.write(KEY, RUNNING, { expected: 0, ttlMs: KEPT_MS })) as { revision: number };
      await store.write(KEY, RUNNING, { expected: revision });
      await store.write('other', RUNNING, { expected: 0, ttlMs: KEPT_MS });
      await untilGone('other');
      expect((await store.read(KEY)).entry).toEqual(RUNNING);
    });

    it.each<[string, unknown]>([
      ['another version', { ...RUNNING, v: 2 }],
      ['another state', { ...RUNNING, state: 'paused' }],
      ['a field that is missing', { ...RUNNING, history: undefined }],
      ['no object', 'hello'],
    ])('reports %s as unreadable', async (_title, value) => {
      const { store } = await make();
      const { revision } = (await store.write(KEY, value as TaskEntry, { expected: 0 })) as { revision: number };
      expect(await store.read(KEY)).toEqual({ entry: 'unreadable', revision });
    });
  });

  describe(`${title}: guards`, () => {
    async function guards(count = 1, keepMs?: number) {
      const made = await make();
      await made.clock.advance(START - made.clock.now());
      const all = Array.from({ length: count }, () =>
        guardOver(made.store, made.clock, keepMs === undefined ? {} : { keepMs }),
      );
      return { ...made, guard: all[0]!.guard, guards: all.map(({ guard }) => guard), all };
    }

    it('let one of 200 simultaneous requests through, and tell all others about its run (G1)', async () => {
      const { guards: replicas, all } = await guards(4);
      const asked = Array.from({ length: 200 }, (_, i) => replicas[i % 4]!.acquire(KEY, request(`run-${i}`)));
      const answers = await Promise.all(asked);
      const won = answers.flatMap((answer, i) => (answer.kind === 'acquired' ? [i] : []));
      expect(won).toHaveLength(1);
      const others = answers.filter((answer) => answer.kind !== 'acquired');
      const running = { kind: 'already_running', runId: `run-${won[0]}`, startedAt: START, expiresAt: START + TTL_MS };
      expect(others).toEqual(Array.from({ length: 199 }, () => ({ ...running, own: false })));
      const events = all.flatMap(({ events }) => events);
      expect(events.map(({ type, runId }) => [type, runId])).toEqual([['task-acquired', `run-${won[0]}`]]);
    });

    it('answer the same request in the same way: by any replica, at once, and after renewals', async () => {
      const { guards: replicas, clock } = await guards(3);
      const asked = Array.from({ length: 30 }, (_, i) => replicas[i % 3]!.acquire(KEY, request('r1')));
      const answers = await Promise.all(asked);
      const [first] = answers;
      expect(first).toMatchObject({ kind: 'acquired', startedAt: START, expiresAt: START + TTL_MS });
      if (first?.kind !== 'acquired') return;
      expect(first.token).toBeGreaterThan(0);
      expect(answers).toEqual(answers.map(() => first));
      for (let i = 1; i <= 3; i++) {
        await clock.advance(TTL_MS - 1);
        expect((await replicas[i % 3]!.renew(KEY, { token: first.token })).kind).toBe('renewed');
        expect(await replicas[0]!.acquire(KEY, request('r1'))).toEqual(first);
      }
    });

    it('let no run through after a failure, and one of 50 after its approval (G2)', async () => {
      const { guard, guards: replicas } = await guards(2);
      const first = await guard.acquire(KEY, request('r1'));
      if (first.kind !== 'acquired') throw new Error(first.kind);
      await guard.release(KEY, { token: first.token, status: 'failed' });
      const after = [request('r1'), request('r1', { requestId: 'x' }), request('r2'), request('r3')];
      const refused = await Promise.all(after.map((asked, i) => replicas[i % 2]!.acquire(KEY, asked)));
      for (const answer of refused) expect(answer).toMatchObject({ kind: 'approval_required', failedRunId: 'r1' });
      const approvals = await Promise.all(replicas.map((replica, i) => replica.approve(KEY, { by: `person ${i}` })));
      expect(new Set(approvals.map((answer) => JSON.stringify(answer))).size).toBe(1);
      const asked = Array.from({ length: 50 }, (_, i) => replicas[i % 2]!.acquire(KEY, request(`again-${i}`)));
      const kinds = (await Promise.all(asked)).map(({ kind }) => kind);
      expect(kinds.filter((kind) => kind === 'acquired')).toHaveLength(1);
      expect(kinds.filter((kind) => kind === 'already_running')).toHaveLength(49);
    });

    it('give a task that was not renewed a new holding with a higher token; the old token can do nothing (G3, G4)', async () => {
      const { guard, clock, all } = await guards();
      const first = await guard.acquire(KEY, request('r1'));
      await guard.acquire('another', request('r1'));
      await clock.advance(TTL_MS);
      const second = await guard.acquire(KEY, request('r1'));
      if (first.kind !== 'acquired' || second.kind !== 'acquired') throw new Error('expected two holdings');
      expect(second.token).toBeGreaterThan(first.token + 1);
      expect((await guard.renew(KEY, { token: first.token })).kind).toBe('not_held');
      expect((await guard.release(KEY, { token: first.token, status: 'failed' })).kind).toBe('not_held');
      expect((await guard.renew(KEY, { token: second.token })).kind).toBe('renewed');
      expect(all[0]?.events.filter(({ key }) => key === KEY).map(({ type, token }) => [type, token])).toEqual([
        ['task-acquired', first.token],
        ['task-stale', first.token],
        ['task-acquired', second.token],
        ['task-healed', second.token],
      ]);
    });

    it('forget tasks that ended well after a while, and then give higher tokens', async () => {
      const { guard, store, untilGone } = await guards(1, KEPT_MS);
      const first = await guard.acquire(KEY, request('r1'));
      if (first.kind !== 'acquired') throw new Error(first.kind);
      await guard.release(KEY, { token: first.token, status: 'succeeded', result: jsonText(42) });
      expect(await guard.acquire(KEY, request('r1'))).toMatchObject({ kind: 'done', result: jsonText(42) });
      await untilGone(KEY);
      expect(await guard.get(KEY)).toBeUndefined();
      expect(await guard.release(KEY, { token: first.token, status: 'succeeded' })).toMatchObject({ state: 'none' });
      const second = await guard.acquire(KEY, request('r1'));
      if (second.kind !== 'acquired') throw new Error(second.kind);
      expect(second.token).toBeGreaterThan(first.token);
      await guard.release(KEY, { token: second.token, status: 'failed' });
      await store.write('other', RUNNING, { expected: 0, ttlMs: KEPT_MS });
      await untilGone('other');
      expect(await guard.get(KEY)).toMatchObject({ state: 'failed', attempts: 1 });
    });

    it('give an unreadable task to no run, whatever is asked, and leave the entry as it is', async () => {
      const { guard, store } = await guards();
      await store.write(KEY, { v: 9 } as unknown as TaskEntry, { expected: 0 });
      const before = await store.read(KEY);
      for (const ask of [
        () => guard.acquire(KEY, request('r1')),
        () => guard.renew(KEY, { token: 1 }),
        () => guard.release(KEY, { token: 1, status: 'succeeded' }),
        () => guard.approve(KEY, { by: 'ann' }),
        () => guard.end(KEY, { by: 'ann' }),
        () => guard.get(KEY),
        () => guard.settleOverdue(KEY),
      ]) {
        await expect(ask()).rejects.toThrow(UnreadableTaskError);
      }
      expect(await store.read(KEY)).toEqual(before);
    });

    it('record once what time alone has changed, and report it once', async () => {
      const { guards: replicas, clock, all, store } = await guards(3);
      await replicas[0]!.acquire(KEY, request('r1'));
      await Promise.all(replicas.map((guard) => guard.settleOverdue(KEY)));
      await clock.advance(TTL_MS);
      await Promise.all(replicas.map((guard) => guard.settleOverdue(KEY)));
      const { revision, entry } = await store.read(KEY);
      expect(entry).toMatchObject({ state: 'stale', staleCount: 1 });
      await Promise.all(replicas.map((guard) => guard.settleOverdue(KEY)));
      expect((await store.read(KEY)).revision).toBe(revision);
      const types = all.flatMap(({ events }) => events.map(({ type }) => type));
      expect(types).toEqual(['task-acquired', 'task-stale']);
    });
  });
}
