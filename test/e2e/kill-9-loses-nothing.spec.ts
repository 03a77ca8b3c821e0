import { readFile } from 'node:fs/promises';
import { connect } from '@nats-io/transport-node';
import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, startBroker, until } from '#testing';
import type { ApiClient, ApiRecord } from '../support/api-client.js';
import { expectDecidedOnceInOrder } from '../support/history-check.js';
import { startUp } from '../support/lanekeeper-up.js';
import { startRoles } from '../support/roles.js';

afterEach(expectNothingLeft);

const SESSIONS = Array.from({ length: 25 }, (_, i) => `chat-${i}`);
const PER_SESSION = 20;
const IDS = Array.from({ length: PER_SESSION }, (_, i) => `m${i}`);

/** 500 messages, each session in order; whatever is not acknowledged is sent again under its id. */
async function sendAll(api: () => ApiClient, onAccepted: () => void): Promise<void> {
  await Promise.all(
    SESSIONS.map(async (session) => {
      for (const id of IDS) {
        await until(`${session}/${id} is accepted`, async () => {
          const answer = await api().send(session, { id, text: id, data: { sleepMs: 5 } });
          return answer.status === 202;
        });
        onAccepted();
      }
    }),
  );
}

it('kill -9 of the whole process group amid 500 messages: each is decided by exactly one record, in order (L1, L2, L3)', async () => {
  await using up = await startUp();
  await up.api.send('long', { id: 'cut', text: 'cut me', data: { sleepMs: 6_000 } });
  const before = await until('the long turn runs', async () => {
    const session = await up.api.session('long');
    return session.running === undefined ? undefined : session;
  });
  await up.api.send('long', { id: 'later', text: 'later' });
  await startedIsStored(up.dir.path);

  let accepted = 0;
  let killed: Promise<void> | undefined;
  const sending = sendAll(
    () => up.api,
    () => {
      if (++accepted === 250) {
        killed = (async () => {
          await up.service.killGroup9();
          await up.again();
        })();
      }
    },
  );
  await sending;
  await killed;
  for (const session of SESSIONS) {
    expectDecidedOnceInOrder(await up.api.decided(session, PER_SESSION), IDS);
  }
  // The turn that was cut came back: same batch, same run, next attempt (L7); what came later is a turn of its own.
  const records = await up.api.decided('long', 2);
  const turns = records.filter((record) => record.kind === 'turn');
  expect(turns.map(({ messages }) => messages.map(({ id }) => id))).toEqual([['cut'], ['later']]);
  expect(turns[0]).toMatchObject({ runId: before.running.runId, attempt: 2, status: 'succeeded' });
});

it('kill -9 of nats-server alone amid 500 messages: the services go on by themselves and lose nothing (L1, L2, L3)', async () => {
  await using broker = await startBroker();
  await using roles = await startRoles(broker.url);
  const { api, worker } = roles;
  await api.send('long', { id: 'through', text: 'through', data: { sleepMs: 2_500 } });

  let accepted = 0;
  let restarted: Promise<void> | undefined;
  await sendAll(
    () => api,
    () => {
      if (++accepted === 250) {
        restarted = (async () => {
          await broker.kill9();
          await broker.restart();
        })();
      }
    },
  );
  await restarted;
  for (const session of SESSIONS) {
    expectDecidedOnceInOrder(await api.decided(session, PER_SESSION), IDS);
  }
  // A turn that ran through the outage is committed by the worker that ran it, not run again.
  const [through] = (await api.decided('long', 1)) as [ApiRecord];
  expect(through).toMatchObject({ attempt: 1, status: 'succeeded' });
  expect(worker.pid).toBeGreaterThan(0);
});

/** The sign of a begun turn goes out unawaited: the kill must come after the broker has it. */
async function startedIsStored(dataDir: string): Promise<void> {
  const { natsUrl } = JSON.parse(await readFile(`${dataDir}/connection.json`, 'utf8')) as { natsUrl: string };
  const nc = await connect({ servers: natsUrl });
  try {
    await until('turn-started is stored', async () => {
      const request = JSON.stringify({ last_by_subj: 'lk.events.*.main.long.turn' });
      const answer = (await nc.request('$JS.API.STREAM.MSG.GET.LK_EVENTS', request)).json<{ message?: object }>();
      return answer.message;
    });
  } finally {
    await nc.close();
  }
}
