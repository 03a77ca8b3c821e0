import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Names, type ControlMessage, type InboxEntry, type InboxMessage, type SessionTokens } from '#contracts';
import { brokerUnavailable, ProblemException } from '#http';
import type { KeyEntry, KeyWrite } from '#jetstream';
import type { Stored } from './inbox.publisher.js';
import { MessageNumbers } from './message-numbers.client.js';
import { NumberedInbox } from './numbered-inbox.client.js';

const names = new Names('lk', 64);
const key = names.sessionTokens('main', 's');
const up = { isUp: true, whenUp: () => Promise.resolve() };
const message = (id: string, sequence?: number, text = 'x'): InboxMessage => ({
  ...{ v: 1, kind: 'message', id, text },
  ...(sequence === undefined ? {} : { sequence }),
});

type Fault = 'none' | 'lost' | 'unheard';
/** A broker's answer comes at a time that the spec chooses. */
type Later = <T>(answer: () => T) => Promise<T>;
const atOnce: Later = (answer) => Promise.resolve().then(answer);

/** A bucket as the broker keeps it, and what was asked of it. */
class Bucket {
  readonly entries = new Map<string, KeyEntry>();
  readonly asked: string[] = [];
  private revision = 0;

  constructor(
    private readonly later: Later,
    private readonly faults: Fault[] = [],
  ) {}

  async read(name: string): Promise<KeyEntry | undefined> {
    this.asked.push(`read ${name}`);
    return this.later(() => this.entries.get(name));
  }

  async write(name: string, value: string | undefined, { expected }: { expected: number }): Promise<KeyWrite> {
    this.asked.push(`write ${name}`);
    return this.later(() => {
      const fault = this.faults.shift() ?? 'none';
      if (fault === 'lost') return { kind: 'unclear' };
      if ((this.entries.get(name)?.revision ?? 0) !== expected) return { kind: 'conflict' };
      this.entries.set(name, { key: name, value, revision: ++this.revision });
      return fault === 'unheard' ? { kind: 'unclear' } : { kind: 'written', revision: this.revision };
    });
  }

  async remove(name: string, expected: number): Promise<KeyWrite> {
    return this.write(name, undefined, { expected });
  }
}

/** An inbox that knows each id once; `outages` says what becomes of the next messages, as for the bucket. */
class Inbox {
  readonly stored: InboxMessage[] = [];

  constructor(
    private readonly later: Later,
    private readonly outages: Fault[] = [],
  ) {}

  async store(_key: SessionTokens, entry: InboxEntry): Promise<Stored> {
    return this.later(() => {
      const outage = this.outages.shift() ?? 'none';
      if (outage === 'lost') throw brokerUnavailable('away', entry.id);
      const seq = this.stored.findIndex(({ id }) => id === entry.id) + 1;
      if (seq > 0 && !isDeepStrictEqual(this.stored[seq - 1], entry)) {
        throw new ProblemException({ status: 422, code: 'idempotency-mismatch', title: '', detail: '' });
      }
      if (seq === 0) this.stored.push(entry as InboxMessage);
      if (outage === 'unheard') throw brokerUnavailable('not acknowledged', entry.id);
      return { seq: seq || this.stored.length, duplicate: seq > 0 };
    });
  }
}

function world({ later = atOnce, faults = [] as Fault[], outages = [] as Fault[] } = {}) {
  const bucket = new Bucket(later, faults);
  const inbox = new Inbox(later, outages);
  // As in processes of their own: they share nothing but the broker.
  const ingress = () => new NumberedInbox(inbox, new MessageNumbers(up, bucket, names));
  const send = async (entry: InboxEntry): Promise<string> => {
    const told = await ingress().store(key, entry, undefined).catch(toCode);
    return typeof told === 'string' ? told : told.duplicate ? 'duplicate' : 'stored';
  };
  return { bucket, inbox, send };
}

function toCode(error: unknown): string {
  if (error instanceof ProblemException) return error.problem.code;
  throw error;
}

describe('a numbered message', () => {
  it('is stored under its number, again as the same, and no other message under it', async () => {
    const { send, inbox } = world();
    expect(await send(message('a', 0))).toBe('stored');
    expect(await send(message('a', 0))).toBe('duplicate');
    expect(await send(message('b', 0))).toBe('sequence-used');
    expect(await send(message('b', 1))).toBe('stored');
    expect(inbox.stored.map(({ id }) => id)).toEqual(['a', 'b']);
  });

  it('goes on with a number that its former try took before it died', async () => {
    const { send, bucket } = world();
    await bucket.write(names.numberKey(key, 7), 'a', { expected: 0 });
    expect(await send(message('a', 7))).toBe('stored');
  });

  it('keeps its number for its repetition when it is unclear whether it is stored', async () => {
    for (const outage of ['lost', 'unheard'] as const) {
      const { send } = world({ outages: [outage] });
      expect(await send(message('a', 7))).toBe('broker-unavailable');
      expect(await send(message('b', 7))).toBe('sequence-used');
      expect(await send(message('a', 7))).toBe(outage === 'lost' ? 'stored' : 'duplicate');
    }
  });

  it('that is refused leaves its number to the message that is right to have it', async () => {
    const { send } = world();
    await send(message('a', 7));
    expect(await send(message('a', 8))).toBe('idempotency-mismatch');
    expect(await send(message('b', 8))).toBe('stored');
    expect(await send(message('a', 8))).toBe('sequence-used');
    expect(await send(message('a', 7))).toBe('duplicate');
  });

  it.each<Fault>(['lost', 'unheard'])('asks again when the write of its number was %s', async (fault) => {
    const { send, bucket } = world({ faults: [fault] });
    expect(await send(message('a', 7))).toBe('stored');
    expect(bucket.entries.get('main.s.7')?.value).toBe('a');
    expect(await send(message('b', 7))).toBe('sequence-used');
  });

  it('is told to come again under its id, at once, when the broker is away', async () => {
    const { bucket } = world();
    const numbers = new MessageNumbers({ ...up, isUp: false }, bucket, names);
    await expect(numbers.claim(key, { id: 'a', sequence: 7 })).rejects.toMatchObject({
      problem: { status: 503, code: 'broker-unavailable', extra: { messageId: 'a' } },
    });
    expect(bucket.asked).toEqual([]);
  });

  it('says which message has the number, and what to do', async () => {
    const { bucket } = world();
    const numbers = new MessageNumbers(up, bucket, names);
    await numbers.claim(key, { id: 'a', sequence: 7 });
    await expect(numbers.claim(key, { id: 'b', sequence: 7 })).rejects.toMatchObject({
      problem: {
        status: 422,
        detail: expect.stringMatching(/^sequence: found 7, which message "a" .*has, wanted .*; if it is the same/),
        extra: { usedBy: 'a' },
      },
    });
  });
});

it('what has no number asks for none', async () => {
  const { send, bucket } = world();
  const order: ControlMessage = { v: 1, kind: 'control', id: 'c', op: 'cancel', target: { what: 'session' } };
  for (const entry of [message('a'), message('b'), order]) await send(entry);
  expect(bucket.asked).toEqual([]);
});

const fault = fc.constantFrom<Fault>('none', 'lost', 'unheard');
const sent = fc.record(
  { id: fc.constantFrom('a', 'b', 'c'), sequence: fc.nat({ max: 1 }), text: fc.constantFrom('x', 'y') },
  { noNullPrototype: true },
);

it('no two messages are stored under one number, however their requests mix and whatever gets lost', async () => {
  const few = { maxLength: 1 };
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(sent, { minLength: 2, maxLength: 7 }),
      fc.array(fault, few),
      fc.array(fault, { maxLength: 3 }),
      async (scheduler, messages, faults, outages) => {
        const isSound = [...faults, ...outages].every((one) => one === 'none');
        const later: Later = (answer) => scheduler.schedule(Promise.resolve()).then(answer);
        const { send, inbox, bucket } = world({ later, faults: [...faults], outages: [...outages] });
        const all = Promise.all(messages.map(({ id, sequence, text }) => send(message(id, sequence, text))));
        const told = await scheduler.waitFor(all);
        const ofNumber = Map.groupBy(inbox.stored, ({ sequence }) => sequence);
        for (const [sequence, stored] of ofNumber) {
          expect(stored).toHaveLength(1);
          // So that it is refused to others from now on, too.
          expect(bucket.entries.get(`main.s.${sequence}`)?.value).toBe(stored[0]?.id);
        }
        messages.forEach(({ id, sequence, text }, i) => {
          const isStored = inbox.stored.some((one) => isDeepStrictEqual(one, message(id, sequence, text)));
          if (told[i] === 'stored' || told[i] === 'duplicate') expect(isStored).toBe(true);
          if (told[i] === 'idempotency-mismatch') expect(isStored).toBe(false);
          // A repetition may have come when the number was given back.
          const isRepeated = messages.some((one, j) => j !== i && isDeepStrictEqual(one, messages[i]));
          if (told[i] === 'sequence-used' && !isRepeated) expect(isStored).toBe(false);
        });
        if (isSound) expect(told).not.toContain('broker-unavailable');
        // Ids that are each sent once, under one number: exactly one of them wins it.
        const isPlain = new Set(messages.map(({ id }) => id)).size === messages.length;
        if (isSound && isPlain) expect(ofNumber.size).toBe(new Set(messages.map(({ sequence }) => sequence)).size);
      },
    ),
    { numRuns: 300 },
  );
});
