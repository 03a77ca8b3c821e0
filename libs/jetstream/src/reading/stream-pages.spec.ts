import { headers as natsHeaders } from '@nats-io/transport-node';
import { expect, it } from 'vitest';
import { silentLogger } from '#telemetry';
import { LastMessageBatcher } from './last-message-batcher.client.js';
import type { BrokerConnection } from '../connection/nats-connection.client.js';
import { StreamReader } from './stream-reader.client.js';

interface Answer {
  readonly code?: number;
  readonly headers: Record<string, string>;
}

const found = (subject: string, seq: number): Answer => ({
  headers: { 'Nats-Subject': subject, 'Nats-Sequence': `${seq}`, 'Nats-Num-Pending': '1' },
});
const endOfPage = (leftOut: number, upToSeq: number): Answer => ({
  code: 204,
  headers: { 'Nats-Num-Pending': `${leftOut}`, 'Nats-UpTo-Sequence': `${upToSeq}` },
});
const NOTHING: Answer = { code: 404, headers: {} };

/** A broker that answers each direct get with the next page, as another replica may; and then the last page for ever. */
function brokerOf(pages: readonly (readonly Answer[])[], atLeader: Readonly<Record<string, number>>) {
  const asked: string[][] = [];
  const askedOfLeader: string[] = [];
  type Callback = (error: null, message: object) => void;
  const inboxes = new Map<string, Callback>();
  const nc = {
    isClosed: () => false,
    subscribe: (inbox: string, { callback }: { callback: Callback }) => {
      inboxes.set(inbox, callback);
      return { unsubscribe: () => inboxes.delete(inbox) };
    },
    publish: (_subject: string, body: string, { reply }: { reply: string }) => {
      const page = pages[Math.min(asked.length, pages.length - 1)] ?? [];
      asked.push((JSON.parse(body) as { multi_last: string[] }).multi_last);
      setImmediate(() => {
        for (const { code, headers: values } of page) {
          const headers = code === undefined ? natsHeaders() : natsHeaders(code, 'x');
          for (const [name, value] of Object.entries(values)) headers.set(name, value);
          inboxes.get(reply)?.(null, { headers, data: new Uint8Array() });
        }
      });
    },
  };
  const getMessage = async (_stream: string, { last_by_subj: subject = '' }: { last_by_subj?: string }) => {
    askedOfLeader.push(subject);
    const seq = atLeader[subject];
    if (seq === undefined) return null;
    return { subject, seq, time: new Date(), data: new Uint8Array(), header: natsHeaders() };
  };
  const connection = {
    ...{ nc, isUp: true, whenUp: async () => {}, onDown: () => () => {} },
    jsm: { streams: { getMessage } },
  } as unknown as BrokerConnection;
  return { reader: new StreamReader(connection), connection, asked, askedOfLeader };
}

it('a read in several answers is only as fresh as its oldest answer', async () => {
  const { reader, asked } = brokerOf(
    [
      [found('a', 90), endOfPage(1, 100)],
      [found('b', 70), endOfPage(0, 80)],
    ],
    {},
  );
  const { found: all, upToSeq } = await reader.lastPerSubject('S', ['a', 'b', 'new']);
  expect([[...all.values()].map(({ seq }) => seq), upToSeq]).toEqual([[90, 70], 80]);
  expect(asked).toEqual([
    ['a', 'b', 'new'],
    ['b', 'new'],
  ]);
});

it('the freshness of a read is unknown when its second answer finds nothing: another replica gave it', async () => {
  const { reader } = brokerOf([[found('a', 90), endOfPage(1, 100)], [NOTHING]], {});
  expect((await reader.lastPerSubject('S', ['a', 'b'])).upToSeq).toBeUndefined();
});

it('a session does not count as new when a lagging replica finds no head in the second answer (L1, L8)', async () => {
  const { reader, connection, askedOfLeader } = brokerOf([[found('a', 90), endOfPage(1, 100)], [NOTHING]], {
    a: 90,
    b: 95,
  });
  const heads = new LastMessageBatcher(connection, reader, {
    ...{ stream: 'S', knownSeq: () => 100, isReplicated: true, log: silentLogger },
  });
  const seqs = await Promise.all(['a', 'b'].map(async (subject) => (await heads.last(subject))?.seq));
  expect(seqs).toEqual([90, 95]);
  expect(askedOfLeader).toContain('b');
});
