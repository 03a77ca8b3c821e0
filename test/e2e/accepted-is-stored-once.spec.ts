import { afterEach, describe, expect, it } from 'vitest';
import { expectNothingLeft, startBroker, startFaultProxy, startService, tempDir } from '#testing';
import { ApiClient } from '../support/api-client.js';
import { startUp } from '../support/lanekeeper-up.js';

afterEach(expectNothingLeft);

describe('a message that was acknowledged is stored, once (L3)', () => {
  it('the same id again answers the first seq and runs no second turn, also fifty at once', async () => {
    await using up = await startUp();
    const first = await up.api.send('s', { id: 'm1', text: 'hello' }, { wait: '20s' });
    expect(first.status).toBe(200);
    const again = await up.api.send('s', { id: 'm1', text: 'hello' });
    expect(again).toMatchObject({ status: 202, body: { messageId: 'm1', seq: first.body.seq, duplicate: true } });

    const fifty = await Promise.all(Array.from({ length: 50 }, () => up.api.send('t', { id: 'm2', text: 'hi' })));
    expect(fifty.map(({ status }) => status)).toEqual(Array(50).fill(202));
    expect(new Set(fifty.map(({ body }) => body.seq)).size).toBe(1);
    expect(fifty.filter(({ body }) => !body.duplicate)).toHaveLength(1);
    await up.api.send('t', { id: 'last', text: 'hi' }, { wait: '20s' });
    const turns = await up.api.turns('t');
    expect(turns.flatMap(({ messages }) => messages).map(({ id }) => id)).toEqual(['last', 'm2']);
  });

  it('a repetition that waits gets the answer of the first turn', async () => {
    await using up = await startUp();
    const first = await up.api.send('s', { id: 'm1', text: 'hello' }, { wait: '20s' });
    const again = await up.api.send('s', { id: 'm1', text: 'hello' }, { wait: '20s' });
    expect(again).toMatchObject({ status: 200, body: { duplicate: true, runId: first.body.runId } });
    expect(again.body.replies).toEqual([{ text: 'hello' }]);
  });

  it('the same id with another body is 422 and stores nothing; key order does not matter', async () => {
    await using up = await startUp();
    const first = await up.api.send('s', { id: 'm1', data: { a: 1, b: { c: 2, d: 3 } } });
    const other = await up.api.send('s', { id: 'm1', data: { a: 1, b: { c: 2, d: 4 } } });
    expect(other.status).toBe(422);
    expect(other.headers.get('content-type')).toContain('application/problem+json');
    expect(other.body).toMatchObject({ code: 'idempotency-mismatch', seq: first.body.seq });
    const same = await up.api.send('s', { data: { b: { d: 3, c: 2 }, a: 1 }, id: 'm1' });
    expect(same).toMatchObject({ status: 202, body: { duplicate: true } });
    const byHeader = await up.api.send(
      's',
      { data: { a: 1, b: { c: 2, d: 3 } } },
      { headers: { 'idempotency-key': 'm1' } },
    );
    expect(byHeader.body).toMatchObject({ messageId: 'm1', duplicate: true });
    const records = await up.api.decided('s', 1);
    expect(records.flatMap(({ messages }) => messages)).toHaveLength(1);
  });

  it('ids belong to one session of one agent', async () => {
    await using up = await startUp();
    const echo = new ApiClient(up.api.url, 'echo');
    const answers = await Promise.all([
      up.api.send('s', { id: 'm1', text: 'a' }),
      up.api.send('t', { id: 'm1', text: 'b' }),
      echo.send('s', { id: 'm1', text: 'c' }),
    ]);
    expect(answers.map(({ body }) => body.duplicate)).toEqual([false, false, false]);
  });

  it('there is no 202 without the acknowledgement of the broker, and the repetition is stored once', async () => {
    await using broker = await startBroker();
    await using proxy = await startFaultProxy(broker.port);
    await using dir = await tempDir('ingress');
    await using ingress = await startService({
      args: ['ingress'],
      cwd: dir.path,
      env: { LANEKEEPER_NATS_URL: proxy.url, LANEKEEPER_HTTP_PORT: '0', LANEKEEPER_LOG_LEVEL: 'error' },
    });
    await using worker = await startService({
      args: ['worker'],
      cwd: dir.path,
      env: { LANEKEEPER_NATS_URL: broker.url, LANEKEEPER_LOG_LEVEL: 'error' },
    });
    expect(worker.url).toBeUndefined();
    const api = new ApiClient(ingress.url ?? '');
    await api.send('s', { id: 'm0', text: 'before' }, { wait: '20s' });
    proxy.dropFromServer();
    const unacknowledged = await api.send('s', { id: 'm1', text: 'stored, but nobody says so' });
    expect(unacknowledged).toMatchObject({ status: 503, body: { code: 'broker-unavailable', messageId: 'm1' } });
    expect(unacknowledged.headers.get('retry-after')).toMatch(/^\d+$/);
    proxy.heal();
    let repeated = await api.send('s', { id: 'm1', text: 'stored, but nobody says so' }, { wait: '20s' });
    // The connection was cut to heal it: the ingress may still say so once.
    while (repeated.status === 503) {
      repeated = await api.send('s', { id: 'm1', text: 'stored, but nobody says so' }, { wait: '20s' });
    }
    expect(repeated).toMatchObject({ status: 200, body: { duplicate: true } });
    const records = await api.decided('s', 2);
    expect(records.flatMap(({ messages }) => messages).map(({ id }) => id)).toEqual(['m0', 'm1']);
  });
});
