import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Names, type CancelTarget } from '#contracts';
import { BrokerConnection } from '#jetstream';
import { silentLogger } from '#telemetry';
import { expectNothingLeft, startBroker, startFaultProxy, until, type TestBroker } from '#testing';
import { answerControl, FormerOwnersClient, type RunsInHandoff, type TurnsInHandoff } from './former-owners.client.js';

const names = new Names('lk', 16);
const key = { shard: 3, agentToken: 'main', sessionToken: 's' };
const target: CancelTarget = { what: 'session' };
const running: RunsInHandoff = { running: { runId: 'r1', attempt: 2, seqs: [4, 5], startedAt: 900 } };
let broker: TestBroker;
let connection: BrokerConnection;
let others: BrokerConnection;
let control: FormerOwnersClient;

beforeAll(async () => {
  broker = await startBroker();
  const { url } = broker;
  connection = await BrokerConnection.open({ url, name: 'holder', log: silentLogger });
  others = await BrokerConnection.open({ url, name: 'asks', log: silentLogger });
  control = new FormerOwnersClient(others, names, () => Promise.resolve(false));
});

afterAll(async () => {
  await connection.close();
  await others.close();
  await broker[Symbol.asyncDispose]();
  await expectNothingLeft();
});

/** A former owner that answers, until it is disposed of. */
async function holder(incarnation: string, answer?: RunsInHandoff) {
  const asked: object[] = [];
  const cancelled: [object, CancelTarget][] = [];
  const held: TurnsInHandoff = {
    running: ({ agentToken, sessionToken }) => {
      asked.push({ agentToken, sessionToken });
      return answer;
    },
    cancel: ({ agentToken, sessionToken }, meant) => void cancelled.push([{ agentToken, sessionToken }, meant]),
  };
  const end = answerControl(connection, names, incarnation, held);
  await connection.nc.flush();
  return { asked, cancelled, end, [Symbol.dispose]: end };
}

describe('an incarnation of a worker', () => {
  it('answers for itself only: not for another incarnation under its id, nor for a longer id', async () => {
    using _ = await holder('a/1');
    expect(await control.isAlive('a/1')).toBe(true);
    expect(await control.isAlive('a/2')).toBe(false);
    expect(await control.isAlive('a.b/1')).toBe(false);
  });

  it('that no longer answers is not alive', async () => {
    const { end } = await holder('a/1');
    end();
    await connection.nc.flush();
    expect(await control.isAlive('a/1')).toBe(false);
  });

  it('that gets the request and does not answer is not awaited for long', async () => {
    const silent = connection.nc.subscribe(names.controlSubject('deaf/1'), { callback: () => {} });
    await connection.nc.flush();
    const before = performance.now();
    expect(await control.isAlive('deaf/1')).toBe(false);
    expect(await control.running('deaf/1', key)).toBeUndefined();
    expect(performance.now() - before).toBeLessThan(5_000);
    silent.unsubscribe();
  });

  it('says which turns of a session in handoff it runs', async () => {
    using life = await holder('a/1', running);
    expect(await control.running('a/1', key)).toEqual(running);
    expect(life.asked).toEqual([{ agentToken: 'main', sessionToken: 's' }]);
  });

  it('that runs no turn of the session says so: the same as no answer, but at once', async () => {
    using life = await holder('a/1');
    expect(await control.running('a/1', key)).toBeUndefined();
    expect(life.asked).toHaveLength(1);
  });

  it('gets a cancel with its target, and does not answer', async () => {
    using life = await holder('a/1');
    const targets: CancelTarget[] = [target, { what: 'message', seq: 7 }];
    for (const meant of targets) control.passCancel('a/1', key, meant);
    await until('both were heard', () => life.cancelled.length === 2);
    const session = { agentToken: 'main', sessionToken: 's' };
    expect(life.cancelled).toEqual(targets.map((meant) => [session, meant]));
  });

  it('ignores malformed requests: it answers none, cancels nothing, and continues', async () => {
    using life = await holder('a/1', running);
    const rubbish = ['', '{', 'null', '7', '[]', '{}', '{"ask":"kill"}', '{"ask":"running"}', '{"ask":"cancel"}'];
    rubbish.push(JSON.stringify({ ask: 'cancel', agentToken: 'main', sessionToken: 's', target: null }));
    rubbish.push(JSON.stringify({ ask: 'cancel', agentToken: 'main', sessionToken: 's', target: {} }));
    const answers: string[] = [];
    const inbox = others.nc.subscribe('answers', {
      callback: (_error, message) => void answers.push(message.string()),
    });
    for (const text of rubbish) others.nc.publish(names.controlSubject('a/1'), text, { reply: 'answers' });
    expect(await control.isAlive('a/1')).toBe(true);
    await others.nc.flush();
    expect([life.asked, life.cancelled, answers]).toEqual([[], [], []]);
    inbox.unsubscribe();
  });
});

describe('whether a former owner is gone', () => {
  it('is asked once for all lanes that wait for it', async () => {
    const asked: string[] = [];
    const asks = new FormerOwnersClient(others, names, async (holder) => {
      asked.push(holder);
      return false;
    });
    const answers = await Promise.all(Array.from({ length: 100 }, () => asks.isGone('a/1')));
    expect([new Set(answers), asked]).toEqual([new Set([false]), ['a/1']]);
  });
});

describe('without a connection', () => {
  it('no incarnation answers, no answer is known, and no cancel is kept and sent much later', async () => {
    using life = await holder('a/1', running);
    await using proxy = await startFaultProxy(broker.port);
    const cut = await BrokerConnection.open({ url: proxy.url, name: 'cut off', log: silentLogger });
    const cutOff = new FormerOwnersClient(cut, names, () => Promise.resolve(false));
    proxy.cutAll();
    await until('it is cut off', () => !cut.isUp);
    // The client keeps only what is sent while it is just about to connect again.
    while (!cut.isUp) {
      cutOff.passCancel('a/1', key, target);
      await new Promise((resolve) => setImmediate(resolve));
    }
    // A kept cancel would be sent before this.
    expect(await cutOff.isAlive('a/1')).toBe(true);
    expect(life.cancelled).toEqual([]);
    await proxy.close();
    await until('it is cut off for good', () => !cut.isUp);
    expect([await cutOff.isAlive('a/1'), await cutOff.running('a/1', key)]).toEqual([false, undefined]);
    await cut.close();
  });
});
