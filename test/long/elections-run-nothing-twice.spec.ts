import { afterEach, expect, it } from 'vitest';
import { Names } from '#contracts';
import { BrokerConnection } from '#jetstream';
import { silentLogger } from '#telemetry';
import { expectNothingLeft, until, type TestBrokerCluster } from '#testing';
import { startReplicatedWorkers } from './replicated-workers.js';
import { startRunningLoad } from './running-load.js';

afterEach(expectNothingLeft);

const ROUNDS = Number(process.env['ROUNDS'] ?? 21);
const SESSIONS = 48;
/**
 * A worker's time to live, by default, and what a takeover may take beside it: a worker that is judged at all is judged by
 * then.
 */
const JUDGED_WITHIN_MS = 12_000;
/** Long enough for another leader; then the one that was stopped goes on as if it were one still. */
const STOPPED_MS = 9_000;
const MEMBERS = `KV_${new Names('lk', 64).membersBucket}`;
const STEP_DOWN = `$JS.API.STREAM.LEADER.STEPDOWN.${MEMBERS}`;

/** Moves the leader to the node that has no worker. */
async function lead(connection: BrokerConnection): Promise<void> {
  await until('the first node leads', async () => {
    const { cluster } = await connection.jsm.streams.info(MEMBERS);
    if (cluster?.leader === 'n0') return true;
    const wish = JSON.stringify({ placement: { preferred: 'n0' } });
    await connection.nc.request(STEP_DOWN, wish, { timeout: 2_000 });
    return false;
  });
}

async function untilLed(connection: BrokerConnection): Promise<void> {
  await until('the bucket has a leader', async () => (await connection.jsm.streams.info(MEMBERS)).cluster?.leader);
}

/** What takes the leader of the members' bucket away. Resolves when the node is back, where it was gone. */
const WAYS: readonly [string, (connection: BrokerConnection, broker: TestBrokerCluster) => Promise<void>][] = [
  [
    'step-down',
    async ({ nc }) => {
      // While the cluster itself elects it refuses that for a moment.
      await until('the leader steps down', async () => {
        const answer = await nc.request(STEP_DOWN, '', { timeout: 5_000 });
        return answer.json<{ success?: boolean }>().success;
      });
    },
  ],
  [
    'kill -9',
    async (_connection, { nodes: [node] }) => {
      await node?.kill9();
      const beganAt = performance.now();
      await until('a live worker would have been judged', () => performance.now() - beganAt > JUDGED_WITHIN_MS);
      await node?.restart();
    },
  ],
  [
    'SIGSTOP',
    async (_connection, { nodes: [node] }) => {
      const pid = node?.pid ?? 0;
      process.kill(pid, 'SIGSTOP');
      try {
        const beganAt = performance.now();
        await until('there was time for an election', () => performance.now() - beganAt > STOPPED_MS);
      } finally {
        process.kill(pid, 'SIGCONT');
      }
      const beganAt = performance.now();
      await until('a live worker would have been judged', () => performance.now() - beganAt > JUDGED_WITHIN_MS / 2);
    },
  ],
];

it(`no turn is called again in ${ROUNDS} elections of the members’ bucket (L8)`, async () => {
  await using load = await startRunningLoad();
  await using cluster = await startReplicatedWorkers(load.agent.url);
  const { broker, api, listed } = cluster;
  const incarnations = (await listed()).map(({ incarnation }) => incarnation).toSorted();
  load.begin(api, SESSIONS);
  // A worker that has not stood for a whole time to live judges no other one, and nothing would be seen.
  const beganAt = performance.now();
  await until('all may judge', () => performance.now() - beganAt > JUDGED_WITHIN_MS && load.running >= SESSIONS / 2);
  const url = broker.nodes[1]?.url ?? '';
  const connection = await BrokerConnection.open({ url, name: 'elections', log: silentLogger });
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const [name, elect] = WAYS[round % WAYS.length] ?? ['', async () => {}];
      await lead(connection);
      const { running } = load;
      const before = load.twice().length;
      await elect(connection, broker);
      await untilLed(connection);
      console.info(
        `round ${round + 1}, ${name}: of ${running} turns ${load.twice().length - before} were called again`,
      );
    }
    await load.end();
    console.info(`${load.agent.calls.length} calls in ${ROUNDS} rounds, ${load.twice().length} messages called again`);
    expect(load.twice()).toEqual([]);
    // None of the workers was another process in between.
    expect((await listed()).map(({ incarnation }) => incarnation).toSorted()).toEqual(incarnations);
  } finally {
    await connection.close();
  }
});
