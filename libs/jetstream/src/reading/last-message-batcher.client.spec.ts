import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MAX_RECORD_BYTES, Names } from '#contracts';
import { silentLogger } from '#telemetry';
import { connectedBroker, expectNothingLeft, startFaultProxy, until, type ConnectedBroker } from '#testing';
import { BrokerAwayError } from '../connection/broker-away-error.js';
import { LastMessageBatcher, type BatcherOptions } from './last-message-batcher.client.js';
import { BrokerConnection } from '../connection/nats-connection.client.js';
import { StreamReader, type LastPerSubject, type StoredMessage } from './stream-reader.client.js';

let broker: ConnectedBroker;
const names = new Names('lk', 16);
beforeAll(async () => {
  broker = await connectedBroker();
  await broker.makeStreams(names);
});
afterAll(async () => {
  await broker[Symbol.asyncDispose]();
  await expectNothingLeft();
});

const subjectOf = (session: string): string => names.turnsSubject(names.sessionTokens('main', session));
const store = async (session: string, body: string): Promise<number> => {
  const outcome = await broker.channel.publish(subjectOf(session), body, { 'X-Test': session });
  return outcome.kind === 'stored' ? outcome.seq : 0;
};

function batcherOf(connection: BrokerConnection, options: Partial<BatcherOptions> = {}, reader?: unknown) {
  const all = { stream: names.turnsStream, knownSeq: () => 0, isReplicated: false, log: silentLogger, ...options };
  return new LastMessageBatcher(connection, (reader as StreamReader | undefined) ?? new StreamReader(connection), all);
}

describe('with one replica', () => {
  it('finds the last message of each subject, or none, however many are asked for at once', async () => {
    const sessions = Array.from({ length: 300 }, (_, i) => `telegram:-100:${i}`);
    await Promise.all(sessions.map((session) => store(session, 'former')));
    const seqs = await Promise.all(sessions.map((session) => store(session, `last of ${session}`)));
    const batcher = batcherOf(broker.connection, { knownSeq: () => 1_000_000 });
    const ask = (session: string) => batcher.last(subjectOf(session));
    const found = await Promise.all([...sessions, 'unknown', ...sessions].map(ask));
    const expected = sessions.map((session, i) => [seqs[i], subjectOf(session), `last of ${session}`, session, '']);
    const read = found.map((message) =>
      message === undefined
        ? undefined
        : [
            message.seq,
            message.subject,
            Buffer.from(message.data).toString(),
            message.header('X-Test'),
            message.header('absent'),
          ],
    );
    expect(read).toEqual([...expected, undefined, ...expected]);
    const leaders = await broker.reader.leaderLast(names.turnsStream, subjectOf(sessions[0] ?? ''));
    expect(found[0]?.storedAtMs).toBe(leaders?.storedAtMs);
  });

  it('asks for no more of the largest records at once than the broker accepts: a cut connection makes every publish unclear', async () => {
    await using made = await connectedBroker();
    await made.makeStreams(names);
    const body = new Uint8Array(MAX_RECORD_BYTES);
    const subjects = Array.from({ length: 200 }, (_value, i) => subjectOf(`large ${i}`));
    for (let i = 0; i < subjects.length; i += 8) {
      await Promise.all(subjects.slice(i, i + 8).map((subject) => made.channel.publish(subject, body, {})));
    }
    let downs = 0;
    made.connection.onDown(() => void downs++);
    const batcher = batcherOf(made.connection);
    const sizes = await Promise.all(subjects.map(async (subject) => (await batcher.last(subject))?.data.length));
    expect(new Set(sizes)).toEqual(new Set([MAX_RECORD_BYTES]));
    expect(downs).toBe(0);
  });

  it('finds the last message of the longest possible session key', async () => {
    const session = '\u{1F600}'.repeat(128);
    const seq = await store(session, 'long');
    expect((await batcherOf(broker.connection).last(subjectOf(session)))?.seq).toBe(seq);
  });

  it('waits through an outage without asking over and over, and answers all', async () => {
    await using proxy = await startFaultProxy(broker.broker.port);
    const connection = await BrokerConnection.open({ url: proxy.url, name: 'spec', log: silentLogger });
    const seq = await store('outage', 'there');
    const warned: object[] = [];
    const batcher = batcherOf(connection, { log: { ...silentLogger, warn: (fields) => void warned.push(fields) } });
    proxy.dropFromServer();
    const asked = Array.from({ length: 200 }, () => batcher.last(subjectOf('outage')));
    proxy.heal();
    proxy.cutAll();
    const late = until('it is down', () => !connection.isUp).then(() => batcher.last(subjectOf('outage')));
    const found = await Promise.all([...asked, late]);
    expect(found.map((message) => message?.seq)).toEqual(found.map(() => seq));
    expect(warned.length).toBeLessThan(5);
    await connection.close();
  });
});

describe('with several replicas', () => {
  const message = (seq: number) => ({ subject: 's', seq, data: new Uint8Array() }) as unknown as StoredMessage;

  /** Replicas that answer one after another, and then the last of them for ever. */
  function replicated(answers: readonly LastPerSubject[]) {
    const asked: string[] = [];
    let at = 0;
    const reader = {
      last: () => {
        asked.push('one');
        return Promise.resolve(message(1));
      },
      lastPerSubject: (_stream: string, subjects: readonly string[]) => {
        asked.push(`batch of ${subjects.length}`);
        return Promise.resolve(answers[Math.min(at++, answers.length - 1)]);
      },
      leaderLast: (_stream: string, subject: string) => {
        asked.push('leader');
        return Promise.resolve(subject === 's' ? message(9) : undefined);
      },
      leaderMessage: () => Promise.resolve<StoredMessage | undefined>(undefined),
    };
    let knownSeq = 7;
    const batcher = batcherOf(broker.connection, { isReplicated: true, knownSeq: () => knownSeq }, reader);
    return { batcher, asked, know: (seq: number) => (knownSeq = seq) };
  }
  const upTo = (upToSeq: number, seq: number): LastPerSubject => ({ found: new Map([['s', message(seq)]]), upToSeq });

  it('accepts the answer of a replica that has read as far as we know, and asks once for all subjects of one moment (L1)', async () => {
    const { batcher, asked } = replicated([upTo(7, 5)]);
    const found = await Promise.all(['s', 't', 's'].map((subject) => batcher.last(subject)));
    expect(found.map((message) => message?.seq)).toEqual([5, undefined, 5]);
    expect(asked).toEqual(['batch of 2']);
  });

  it('asks again when a replica is behind, and in the end the leader: never accepts a stale head (L1, L8)', async () => {
    const again = replicated([upTo(6, 5), upTo(8, 8)]);
    expect((await again.batcher.last('s'))?.seq).toBe(8);
    const behind = replicated([upTo(6, 5)]);
    expect((await behind.batcher.last('s'))?.seq).toBe(9);
    expect(behind.asked).toEqual(['batch of 1', 'batch of 1', 'batch of 1', 'leader']);
  });

  it('asks the leader at once for what a replica does not find, since such an answer does not say how far it has read (L1)', async () => {
    const { batcher, asked } = replicated([{ found: new Map(), upToSeq: undefined }]);
    const found = await Promise.all(['s', 't'].map((subject) => batcher.last(subject)));
    expect(found.map((message) => message?.seq)).toEqual([9, undefined]);
    expect(asked).toEqual(['batch of 2', 'leader', 'leader']);
  });

  it('limits its requests to the leader to those of single requests, however many batches ask', async () => {
    const { batcher } = replicated([{ found: new Map(), upToSeq: undefined }]);
    const reader = (batcher as unknown as { reader: { leaderLast: unknown } }).reader;
    let inFlight = 0;
    let most = 0;
    reader.leaderLast = async () => {
      most = Math.max(most, ++inFlight);
      await new Promise((resolve) => setImmediate(resolve));
      inFlight--;
    };
    const found = await Promise.all(Array.from({ length: 5_000 }, (_value, i) => batcher.last(`s${i}`)));
    expect(found.filter((message) => message !== undefined)).toEqual([]);
    expect(most).toBe(32);
  });

  it('asks the leader only once for a thousand new sessions: for a session with a record, with which a replica answers for all', async () => {
    const nothing = { found: new Map(), upToSeq: undefined };
    const { batcher, asked } = replicated([nothing, upTo(7, 7), upTo(7, 7)]);
    const reader = (batcher as unknown as { reader: { leaderMessage: unknown } }).reader;
    reader.leaderMessage = (_stream: string, seq: number) => {
      asked.push(`message ${seq}`);
      return Promise.resolve(message(seq));
    };
    const ask = (from: number) =>
      Promise.all(Array.from({ length: 1_000 }, (_value, i) => batcher.last(`new ${from + i}`)));
    expect(new Set(await ask(0))).toEqual(new Set([undefined]));
    expect(asked).toEqual(['batch of 1000', 'message 7', 'batch of 1001']);
    await ask(1_000);
    expect(asked.slice(3)).toEqual(['batch of 1001']);
    expect(await batcher.last('new')).toBeUndefined();
    expect(asked.slice(4)).toEqual(['batch of 2']);
  });

  it('asks the leader for all of them when the witness is gone', async () => {
    const { batcher, asked } = replicated([upTo(7, 7), { found: new Map(), upToSeq: undefined }]);
    expect((await batcher.last('s'))?.seq).toBe(7);
    const found = await Promise.all(Array.from({ length: 20 }, (_value, i) => batcher.last(`new ${i}`)));
    expect(new Set(found)).toEqual(new Set([undefined]));
    expect(asked.slice(0, 3)).toEqual(['batch of 1', 'batch of 21', 'batch of 20']);
    expect(asked.slice(3)).toEqual(Array.from({ length: 20 }, () => 'leader'));
  });

  it('sends a single request only while nothing is known to be stored', async () => {
    const { batcher, asked, know } = replicated([upTo(7, 5)]);
    know(0);
    expect((await batcher.last('s'))?.seq).toBe(1);
    know(7);
    expect((await batcher.last('s'))?.seq).toBe(5);
    expect(asked).toEqual(['one', 'batch of 1']);
  });

  it('keeps asking for what fails, in single requests or in a batch', async () => {
    const { batcher, know } = replicated([upTo(7, 5)]);
    const reader = (batcher as unknown as { reader: Record<string, () => Promise<never>> }).reader;
    const { last, lastPerSubject } = reader;
    const fail = () => Promise.reject(new BrokerAwayError());
    know(0);
    Object.assign(reader, { last: fail, lastPerSubject: fail });
    const asked = [batcher.last('s'), batcher.last('s')];
    Object.assign(reader, { last, lastPerSubject });
    expect((await Promise.all(asked)).map((message) => message?.seq)).toEqual([5, 5]);
  });
});

describe('a read of one message', () => {
  it('is an outage when no stream answers, and a refusal when the request is invalid', async () => {
    const { reader } = broker;
    await expect(reader.last('NONE', 'x')).rejects.toBeInstanceOf(BrokerAwayError);
    await expect(reader.last(names.turnsStream, 'a b')).rejects.toMatchObject({ code: 'read_refused' });
  });
});
