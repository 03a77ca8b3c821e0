import { connect } from '@nats-io/transport-node';
import { afterEach, expect, it } from 'vitest';
import { Names } from '#contracts';
import { expectNothingLeft, startBroker, until } from '#testing';
import { startRoles } from '../support/roles.js';

afterEach(expectNothingLeft);

const names = new Names('lk', 64);

/** What any client of the broker could publish, and the session token under which it is decided. */
const RUBBISH: readonly { subject: string; body: string | Uint8Array; reason: RegExp }[] = [
  { subject: 'lk.in.main.a=2eb', body: '{"v":1,"kind":"message","id":"x","text":"x"}', reason: /canonical/ },
  { subject: 'lk.in.main.a=41', body: '{"v":1,"kind":"message","id":"x","text":"x"}', reason: /canonical/ },
  { subject: 'lk.in.main.=FF', body: '{"v":1,"kind":"message","id":"x","text":"x"}', reason: /canonical/ },
  { subject: 'lk.in.main.größe', body: '{"v":1,"kind":"message","id":"x","text":"x"}', reason: /canonical/ },
  { subject: `lk.in.main.${'y'.repeat(513)}`, body: '{}', reason: /512 bytes/ },
  { subject: 'lk.in.MAIN.s', body: '{"v":1,"kind":"message","id":"x","text":"x"}', reason: /names no agent/ },
  { subject: 'lk.in.nobody.s', body: 'no JSON, and its agent is none that is known', reason: /no JSON/ },
  {
    subject: 'lk.in.main.good',
    body: JSON.stringify({ v: 1, kind: 'message', id: 'x', text: 'x'.repeat(900_000) }),
    reason: /more than 786432 bytes/,
  },
  { subject: 'lk.in.main.good', body: 'this is no JSON', reason: /no JSON/ },
  { subject: 'lk.in.main.good', body: '', reason: /no JSON/ },
  { subject: 'lk.in.main.good', body: new Uint8Array([0xff, 0xfe, 0x00]), reason: /no UTF-8/ },
  { subject: 'lk.in.main.good', body: '[]', reason: /shape/ },
  { subject: 'lk.in.main.good', body: '{"v":2,"kind":"message","id":"x","text":"x"}', reason: /v/ },
  { subject: 'lk.in.main.good', body: '{"v":1,"kind":"message","id":7}', reason: /id/ },
];

it('what is published past the ingress and is no message is decided `rejected`, and stops nothing', async () => {
  await using broker = await startBroker();
  await using roles = await startRoles(broker.url);
  const { api, worker } = roles;
  const nc = await connect({ servers: broker.url });
  try {
    // A turn is running while the rubbish comes in: it is decided at once all the same, by notes.
    await api.send('good', { id: 'slow', text: 'slow', data: { sleepMs: 1_500 } });
    const seqs: number[] = [];
    for (const { subject, body } of RUBBISH) {
      const ack = (await nc.request(subject, body)).json<{ seq: number; error?: unknown }>();
      expect(ack.error).toBeUndefined();
      seqs.push(ack.seq);
    }
    const decided = new Map<number, { decision: string; reason?: string }>();
    await until('every piece of rubbish is decided', async () => {
      for (const token of new Set(RUBBISH.map(({ subject }) => subject.split('.').slice(2).join('.')))) {
        for (const message of await decisionsOf(nc, token)) decided.set(message.seq, message);
      }
      return seqs.every((seq) => decided.has(seq));
    });
    RUBBISH.forEach(({ reason }, i) => {
      expect(decided.get(seqs[i] as number)).toMatchObject({
        decision: 'rejected',
        reason: expect.stringMatching(reason),
      });
    });
    const after = await api.send('good', { id: 'after', text: 'still here' }, { wait: '20s' });
    expect(after.body).toMatchObject({ status: 'succeeded', replies: [{ text: 'still here' }] });
    const good = await api.turns('good');
    expect(good.filter(({ kind }) => kind === 'turn').map(({ messages }) => messages.map(({ id }) => id))).toEqual([
      ['after'],
      ['slow'],
    ]);
    expect(worker.output()).not.toContain('at ');
  } finally {
    await nc.close();
  }
});

async function decisionsOf(
  nc: Awaited<ReturnType<typeof connect>>,
  token: string,
): Promise<{ seq: number; decision: string; reason?: string }[]> {
  const [agentToken = '', sessionToken = ''] = token.split('.');
  // The server hashes the bytes of the token as they are.
  const subject = `lk.turns.*.${agentToken}.${sessionToken}`;
  const decisions: { seq: number; decision: string; reason?: string }[] = [];
  for (let seq = 1; ;) {
    const request = JSON.stringify({ seq, next_by_subj: subject });
    const answer = (await nc.request(`$JS.API.STREAM.MSG.GET.${names.turnsStream}`, request)).json<{
      message?: { seq: number; data: string };
    }>();
    if (answer.message === undefined) return decisions;
    const record = JSON.parse(Buffer.from(answer.message.data, 'base64').toString()) as { messages: typeof decisions };
    decisions.push(...record.messages);
    seq = answer.message.seq + 1;
  }
}
