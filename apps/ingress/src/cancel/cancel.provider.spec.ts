import { describe, expect, it } from 'vitest';
import {
  makeRunId,
  Names,
  type ControlMessage,
  type Decision,
  type MessageDecision,
  type SessionAnswer,
} from '#contracts';
import type { CancelCall } from './cancel-call.js';
import { CancelService } from './cancel.provider.js';
import type { Stored } from '../inbox/inbox.publisher.js';
import type { IntakeParts } from '../send/intake.provider.js';
import type { StoredRecord } from '../sessions/session-history.client.js';

const names = new Names('lk', 64);
const path = { agent: 'main', session: 's:1' };
const key = names.sessionTokens(path.agent, path.session);
const runOf = (...seqs: number[]): string => makeRunId(key, seqs);

const call: CancelCall = {
  id: 'cancel:a',
  isNamed: false,
  trace: undefined,
  waitMs: undefined,
  gone: new AbortController().signal,
};
const named: CancelCall = { ...call, isNamed: true };
const waiting: CancelCall = { ...call, waitMs: 1_000 };

const decided = (seq: number, decision: Decision, id = `m${seq}`): MessageDecision => ({ id, seq, decision });

/** Record `recordSeq`, written at that second. */
function record(recordSeq: number, messages: MessageDecision[], runId?: string): StoredRecord {
  const turn = runId === undefined ? { kind: 'note' } : { kind: 'turn', runId, status: 'cancelled' };
  return { recordSeq, storedAtMs: recordSeq * 1_000, record: { ...turn, messages } } as unknown as StoredRecord;
}

interface World {
  /** Oldest first; the last `written` of them come only after the cancel was stored. */
  readonly records?: readonly StoredRecord[];
  readonly written?: number;
  readonly pending?: readonly number[];
  /** Undecided ids of orders. */
  readonly orders?: readonly string[];
  readonly answer?: SessionAnswer | undefined;
  readonly stored?: Stored;
  /** Agents that are not configured, and of whose sessions the streams have something. */
  readonly strays?: readonly string[];
  readonly storedAtMs?: number;
}

function serviceIn(world: World) {
  const { records = [], pending = [], orders = [], stored = { seq: 100, duplicate: false } } = world;
  const entries: ControlMessage[] = [];
  const find = (wanted: { seq?: number; id?: string }): StoredRecord | undefined =>
    records.findLast(({ record }) => record.messages.some(({ seq, id }) => seq === wanted.seq || id === wanted.id));
  const messages = pending.map((seq) => ({ seq, id: `m${seq}`, storedAtMs: 0 }));
  const history = {
    pending: () => each(messages),
    undecided: () => each([...messages, ...orders.map((id, i) => ({ seq: 90 + i, id, isControl: true }))]),
    endOfRun: (_key: unknown, runId: string) =>
      Promise.resolve(records.findLast(({ record }) => record.kind === 'turn' && record.runId === runId)),
    decisionOf: (_key: unknown, wanted: object) => Promise.resolve(find(wanted)),
    lastRecord: () => Promise.resolve(records.at(-1 - (world.written ?? 0))),
    newestFirst: () => each(records.toReversed()),
    storedAtMs: () => Promise.resolve(world.storedAtMs),
    hasSession: ({ agentToken }: { agentToken: string }) =>
      Promise.resolve(world.strays?.includes(agentToken) === true),
  };
  const watch = { decided: (seq: number) => Promise.resolve(find({ seq })), close: () => {} };
  const parts = {
    names,
    agents: ['main'],
    history,
    questions: { ask: () => Promise.resolve(world.answer) },
    waiter: { watch: () => watch },
    inbox: {
      store: (_key: unknown, entry: ControlMessage) => {
        entries.push(entry);
        return Promise.resolve(stored);
      },
    },
  };
  return { service: new CancelService(parts as unknown as IntakeParts), entries };
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

const answerOf = (state: SessionAnswer['state'], more: Partial<SessionAnswer> = {}): SessionAnswer => ({
  state,
  depth: 0,
  oldestMs: null,
  worker: 'w/1',
  ...more,
});
const running = (...seqs: number[]): SessionAnswer =>
  answerOf('running', { running: { runId: runOf(...seqs), attempt: 1, seqs, startedAt: 1 } });

const conflict = (problem: object) => ({ problem: expect.objectContaining(problem) });

describe('of a session', () => {
  it('is stored as an order to its lane', async () => {
    const { service, entries } = serviceIn({});
    expect(await service.cancelSession(path, call)).toEqual({ messageId: 'cancel:a', seq: 100, duplicate: false });
    expect(entries).toEqual([{ v: 1, kind: 'control', id: 'cancel:a', op: 'cancel', target: { what: 'session' } }]);
  });

  it('needs an agent that is configured', async () => {
    const { service, entries } = serviceIn({});
    const cancel = service.cancelSession({ ...path, agent: 'nobody' }, call);
    await expect(cancel).rejects.toMatchObject(conflict({ status: 404, detail: expect.stringContaining('agent') }));
    expect(entries).toEqual([]);
  });

  it('of an agent that is not configured works where something of it is stored: its messages wait, and people end them', async () => {
    const { service, entries } = serviceIn({ strays: ['suport'], pending: [3] });
    const stray = { ...path, agent: 'suport' };
    await service.cancelSession(stray, call);
    await service.cancelMessage(stray, 'm3', call);
    await service.cancelRun(makeRunId(names.sessionTokens('suport', 's:1'), [3]), call);
    expect(entries.map(({ target }) => target.what)).toEqual(['session', 'message', 'run']);
  });

  it('is a duplicate only for a caller that could repeat it', async () => {
    const stored = { seq: 7, duplicate: true };
    expect(await serviceIn({ stored }).service.cancelSession(path, call)).toMatchObject({ seq: 7, duplicate: false });
    expect(await serviceIn({ stored }).service.cancelSession(path, named)).toMatchObject({ seq: 7, duplicate: true });
  });
});

describe('of a message', () => {
  it('names it by its sequence', async () => {
    const { service, entries } = serviceIn({ pending: [3, 5] });
    await service.cancelMessage(path, 'm5', call);
    expect(entries[0]?.target).toEqual({ what: 'message', seq: 5 });
  });

  it('that no sender sent is 404; so is an order', async () => {
    const { service, entries } = serviceIn({ pending: [3], orders: ['cancel:b'] });
    for (const id of ['m4', 'cancel:b']) {
      const cancel = service.cancelMessage(path, id, call);
      await expect(cancel).rejects.toMatchObject(conflict({ status: 404, detail: expect.stringMatching(/messageId/) }));
    }
    expect(entries).toEqual([]);
  });

  it('that is decided is 409, with the decision and the run', async () => {
    const { service, entries } = serviceIn({ records: [record(1, [decided(3, 'handled')], runOf(3))] });
    await expect(service.cancelMessage(path, 'm3', call)).rejects.toMatchObject(
      conflict({
        status: 409,
        code: 'already-decided',
        extra: { seq: 3, decision: 'handled', runId: runOf(3) },
      }),
    );
    expect(entries).toEqual([]);
  });

  it.each<[string, World]>([
    ['waits', { orders: ['cancel:a'] }],
    ['has decided it', { records: [record(1, [decided(3, 'cancelled'), decided(4, 'handled', 'cancel:a')])] }],
  ])('that is decided is no conflict for who repeats a cancel that %s', async (_title, world) => {
    const records = world.records ?? [record(1, [decided(3, 'handled')], runOf(3))];
    const stored = { seq: 4, duplicate: true };
    const { service } = serviceIn({ ...world, records, stored });
    expect(await service.cancelMessage(path, 'm3', named)).toEqual({ messageId: 'cancel:a', ...stored });
    await expect(serviceIn({ records }).service.cancelMessage(path, 'm3', call)).rejects.toMatchObject(
      conflict({ status: 409 }),
    );
  });

  it('that is decided is a conflict for another key', async () => {
    const { service } = serviceIn({ records: [record(1, [decided(3, 'handled')], runOf(3))], orders: ['cancel:b'] });
    await expect(service.cancelMessage(path, 'm3', named)).rejects.toMatchObject(conflict({ status: 409 }));
  });
});

describe('of a run', () => {
  const retrying = answerOf('retrying', { retry: { runId: runOf(3), attempt: 2, seqs: [3], notBefore: 1 } });
  /** The first one runs, the others come again. */
  const several = (...seqs: number[]) =>
    answerOf('running', {
      concurrent: seqs.map((seq, i) => ({
        ...{ runId: runOf(seq), attempt: 1, seqs: [seq] },
        ...(i === 0 ? { startedAt: 1 } : { notBefore: 1 }),
      })),
    });
  it.each<[string, World]>([
    ['runs', { answer: running(3) }],
    ['is held', { answer: { ...running(3), state: 'held' } }],
    ['waits for its next attempt', { answer: retrying }],
    ['runs beside others', { answer: several(3, 2) }],
    ['waits for its next attempt beside others', { answer: several(2, 3) }],
    ['runs beside others, of which its new worker does not know yet', { answer: several(1, 2), pending: [1, 2, 3] }],
    ['may be anything, since its shard has no owner', { pending: [3] }],
    ['was cut, of which its new worker knows nothing yet', { answer: answerOf('queued'), pending: [3] }],
    ['is held by a worker that does not say what it runs', { answer: answerOf('held'), pending: [3] }],
  ])('that %s is stored', async (_title, world) => {
    const { service, entries } = serviceIn(world);
    await service.cancelRun(runOf(3), call);
    expect(entries[0]?.target).toEqual({ what: 'run', runId: runOf(3) });
  });

  it.each<[string, string, World]>([
    ['of another form', 'r-1', {}],
    ['of an agent that is none', 'nobody.s.3.0123456789', {}],
    ['whose batch waits behind another run', runOf(4), { answer: running(3), pending: [3, 4] }],
    ['that never was beside others', runOf(9), { answer: several(1, 2), pending: [1, 2, 3] }],
    ['that never was', runOf(9), { answer: answerOf('idle') }],
    ['whose messages ran in another one', runOf(3, 4), { records: [record(1, [decided(3, 'handled')], runOf(3))] }],
  ])('%s is 404 and says what one looks like', async (_title, runId, world) => {
    const { service, entries } = serviceIn(world);
    const problem = { status: 404, detail: expect.stringContaining('<agent>.<session>.<first seq>.<hash>') };
    await expect(service.cancelRun(runId, call)).rejects.toMatchObject(conflict(problem));
    expect(entries).toEqual([]);
  });

  it.each<[string, StoredRecord, Decision]>([
    ['its turn', record(1, [decided(3, 'cancelled'), decided(4, 'cancelled')], runOf(3, 4)), 'cancelled'],
    ['its turn, of whose messages one runs again', record(1, [decided(4, 'cancelled')], runOf(3, 4)), 'cancelled'],
    ['a note during its backoff', record(1, [decided(2, 'expired'), decided(3, 'cancelled')]), 'cancelled'],
  ])('that is over by %s is 409', async (_title, last, decision) => {
    const { service, entries } = serviceIn({ records: [last], pending: [5], answer: running(5) });
    await expect(service.cancelRun(runOf(3, 4), call)).rejects.toMatchObject(
      conflict({ status: 409, code: 'already-decided', extra: { runId: runOf(3, 4), decision } }),
    );
    expect(entries).toEqual([]);
  });
});

describe('with wait', () => {
  const order = decided(100, 'handled', 'cancel:a');
  const records = [
    record(1, [decided(1, 'cancelled')]),
    record(2, [decided(9, 'cancelled'), decided(8, 'expired')]),
    record(3, [decided(7, 'cancelled'), decided(6, 'cancelled')], runOf(6, 7)),
    record(4, [order, decided(101, 'cancelled')]),
    record(5, [decided(10, 'cancelled')]),
  ];
  const list = [6, 7, 9].map((seq) => ({ id: `m${seq}`, seq }));

  it('tells what was cancelled between the last record before it and its own, oldest first', async () => {
    const { service } = serviceIn({ records, written: 4 });
    expect(await service.cancelSession(path, waiting)).toMatchObject({ seq: 100, cancelled: list });
  });

  it('tells a repetition the same', async () => {
    const { service } = serviceIn({ records, stored: { seq: 100, duplicate: true }, storedAtMs: 1_500 });
    expect(await service.cancelSession(path, { ...waiting, isNamed: true })).toMatchObject({
      duplicate: true,
      cancelled: list,
    });
  });

  it('tells a repetition what the deciding record says, when the order is trimmed', async () => {
    const own = [record(1, [decided(1, 'cancelled')]), record(2, [order, decided(2, 'cancelled')])];
    const { service } = serviceIn({ records: own, stored: { seq: 100, duplicate: true } });
    expect(await service.cancelSession(path, waiting)).toMatchObject({ cancelled: [{ id: 'm2', seq: 2 }] });
  });

  it('tells an empty list when there was nothing, and none while it is undecided', async () => {
    expect(await serviceIn({ records: [record(1, [order])], written: 1 }).service.cancelSession(path, waiting)).toEqual(
      {
        messageId: 'cancel:a',
        seq: 100,
        duplicate: false,
        cancelled: [],
      },
    );
    expect(await serviceIn({}).service.cancelSession(path, waiting)).not.toHaveProperty('cancelled');
  });
});
