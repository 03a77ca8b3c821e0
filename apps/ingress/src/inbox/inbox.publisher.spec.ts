import { expect, it } from 'vitest';
import { Names, type ControlMessage, type InboxMessage } from '#contracts';
import type { BrokerConnection, PublishChannel, PublishOutcome } from '#jetstream';
import { silentLogger } from '#telemetry';
import type { FloorWatch } from './floor-watch.client.js';
import { InboxPublisher } from './inbox.publisher.js';

const names = new Names('lk', 64);
const key = names.sessionTokens('main', 's');
const message: InboxMessage = { v: 1, kind: 'message', id: 'cancel:a', text: 'x' };
const order: ControlMessage = { v: 1, kind: 'control', id: 'cancel:a', op: 'cancel', target: { what: 'session' } };

function publisherOf(outcome: PublishOutcome) {
  const sent: { subject: string; msgId: string | undefined }[] = [];
  const channel: Pick<PublishChannel, 'publish'> = {
    publish: (subject, _body, headers = {}) => {
      sent.push({ subject, msgId: headers['Nats-Msg-Id'] });
      return Promise.resolve(outcome);
    },
  };
  const connection = {} as BrokerConnection;
  const open = { state: 'open', mark: 0 } as FloorWatch;
  const publisher = new InboxPublisher(connection, channel as PublishChannel, names, silentLogger, open);
  return { publisher, sent };
}

it('a message and an order of the same id lie side by side: neither is the other’s duplicate', async () => {
  const { publisher, sent } = publisherOf({ kind: 'stored', seq: 1, duplicate: false });
  await publisher.publish(key, message, undefined, 0);
  await publisher.publish(key, order, undefined, 0);
  await publisher.publish(key, order, undefined, 0);
  expect(new Set(sent.map(({ subject }) => subject))).toEqual(new Set(['lk.in.main.s']));
  expect(sent[0]?.msgId).not.toBe(sent[1]?.msgId);
  expect(sent[1]?.msgId).toBe(sent[2]?.msgId);
});

it('only the sender of a message is told to send it again under its id: that of an order is ours', async () => {
  const { publisher } = publisherOf({ kind: 'unsent', why: 'disconnected' });
  const refusal = (extra: unknown) => ({
    problem: expect.objectContaining({ status: 503, code: 'broker-unavailable', extra }),
  });
  await expect(publisher.publish(key, message, undefined, 0)).rejects.toMatchObject(refusal({ messageId: 'cancel:a' }));
  await expect(publisher.publish(key, order, undefined, 0)).rejects.not.toHaveProperty('problem.extra');
});
