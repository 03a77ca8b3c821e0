import { beforeEach, describe, expect, it } from 'vitest';
import { Names, type NoteRecord, type SequenceRange } from '#contracts';
import type { StoredMessage, StreamLookup } from '#jetstream';
import type { Lease, OpenSession, StoredLease } from '#shards';
import { SwallowedEntries } from './swallowed-entries.client.js';

const names = new Names('lk', 64);
const key = names.sessionTokens('main', 'chat:1');
const subject = names.turnsSubject(key);

let records: Map<number, StoredMessage>;
let lease: StoredLease | undefined;
/** Commits that land between the first look at the records and the read of the lease. */
let onLeaseRead: () => void;

beforeEach(() => {
  records = new Map();
  lease = undefined;
  onLeaseRead = () => {};
});

/** Writes the session's next record. */
function record(upto: number, decides: readonly number[], done: SequenceRange[] = [], id?: string): void {
  const before = Math.max(0, ...records.keys());
  const body: NoteRecord = {
    v: 1,
    kind: 'note',
    commitId: 'c',
    worker: 'w/1',
    upto,
    done,
    run: null,
    nextSequence: null,
    children: {},
    relayed: {},
    messages: decides.map((seq) => ({ id: id ?? `m${seq}`, seq, decision: 'handled' })),
  };
  const seq = before + 10;
  const header = (name: string): string =>
    name === 'Nats-Expected-Last-Subject-Sequence' && before > 0 ? String(before) : '';
  records.set(seq, { subject, seq, data: Buffer.from(JSON.stringify(body)), header } as unknown as StoredMessage);
}

function leased(read: number, ...open: OpenSession[]): void {
  const value: Lease = { v: 1, writeId: 'x', owner: 'w/1', read, tail: 0, open };
  lease = { revision: 1, lease: value };
}

function isSwallowed(seq: number, id = `m${seq}`): Promise<boolean> {
  const lookup = {
    last: () => Promise.resolve(records.get(Math.max(0, ...records.keys()))),
    message: (_stream: string, wanted: number) => Promise.resolve(records.get(wanted)),
  } as unknown as StreamLookup;
  const leases = {
    read: () => {
      onLeaseRead();
      return Promise.resolve(lease);
    },
  };
  return new SwallowedEntries(lookup, leases, names).isSwallowed(key, seq, id);
}

describe('an entry at a sequence that the session’s cursor has passed', () => {
  it('is swallowed when the record that passed it names another one', async () => {
    record(5, [5]);
    record(9, [9]);
    record(12, [12]);
    // 7 came while the inbox was rewound: the cursor went from 5 to 9 without it.
    expect(await isSwallowed(7)).toBe(true);
    expect(await isSwallowed(3)).toBe(true);
  });

  it('is swallowed when the record that passed it names its sequence for another one, of before', async () => {
    record(5, [5]);
    expect(await isSwallowed(5, 'other')).toBe(true);
    expect(await isSwallowed(5, 'm5')).toBe(false);
  });

  it('is decided when it was rejected by a worker that could not read its id', async () => {
    record(5, [5], [], 'seq:5');
    expect(await isSwallowed(5)).toBe(false);
  });

  it('is decided when a record names it, however far back', async () => {
    for (let seq = 1; seq <= 60; seq++) record(seq, [seq]);
    for (const seq of [1, 30, 60]) expect(await isSwallowed(seq)).toBe(false);
  });

  it('counts as decided when the record that passed it is trimmed: it cannot be told, and it must not run twice', async () => {
    record(5, [5]);
    record(9, [9]);
    record(12, [12]);
    records.delete(20);
    expect(await isSwallowed(7)).toBe(false);
  });

  it('counts as decided when a record cannot be read', async () => {
    record(5, [5]);
    record(9, [9]);
    const broken = records.get(20) as StoredMessage;
    records.set(20, { ...broken, data: Buffer.from('{}') });
    expect(await isSwallowed(7)).toBe(false);
  });

  it('is looked for above `upto` as well', async () => {
    record(5, [5, 8], [[8, 8]]);
    record(5, [11], [[8, 11]]);
    expect(await isSwallowed(8)).toBe(false);
    expect(await isSwallowed(9)).toBe(true);
  });
});

describe('an entry that the session’s head leaves open', () => {
  it('waits when its shard has no lease, or is not read so far', async () => {
    expect(await isSwallowed(7)).toBe(false);
    leased(6);
    expect(await isSwallowed(7)).toBe(false);
  });

  it('waits when the lease names its session from there or before', async () => {
    leased(20, { session: 'main.chat=3A1', from: 7 });
    expect(await isSwallowed(7)).toBe(false);
    expect(await isSwallowed(8)).toBe(false);
  });

  it('is swallowed when the shard is read beyond it and its session is not open there', async () => {
    leased(20, { session: 'main.other', from: 2 }, { session: 'main.chat=3A1', from: 8 });
    expect(await isSwallowed(7)).toBe(true);
    record(5, [5]);
    expect(await isSwallowed(7)).toBe(true);
  });

  it('is decided when its record came before the lease, though after the first look', async () => {
    leased(20);
    onLeaseRead = () => record(7, [7]);
    expect(await isSwallowed(7)).toBe(false);
  });
});
