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
/** A worker's time to live, by default, and what a takeover may take beside it: whoever is judged at all is judged by then. */
const JUDGED_WITHIN_MS = 12_000;
/** Long enough for another leader, and too short for who is connected there to be cut off for its time to live. */
const STOPPED_MS = 6_000;
const MEMBERS = `KV_${new Names('lk', 64).membersBucket}`;

async function leaderOf(connection: BrokerConnection, stream: string): Promise<number> {
  const find = async (): Promise<string | undefined> => (await connection.jsm.streams.info(stream)).cluster?.leader;
  return Number((await until(`${stream} has a leader`, find)).slice(1));
}

/** What takes the leader of the members' bucket away. Resolves when the node is back, where it was gone. */
const WAYS: readonly [string, (connection: BrokerConnection, broker: TestBrokerCluster) => Promise<void>][] = [
  [
    'step-down',
    async ({ nc }) => {
      const answer = await nc.request(`$JS.API.STREAM.LEADER.STEPDOWN.${MEMBERS}`, '', { timeout: 5_000 });
      expect(answer.json()).toMatchObject({ success: true });
    },
  ],
  [
    'kill -9',
    async (connection, { nodes }) => {
      const node = nodes[await leaderOf(connection, MEMBERS)];
      await node?.kill9();
      const beganAt = performance.now();
      await until('a live worker would have been judged', () => performance.now() - beganAt > JUDGED_WITHIN_MS);
      await node?.restart();
    },
  ],
  [
    'SIGSTOP',
    async (connection, { nodes }) => {
      const pid = nodes[await leaderOf(connection, MEMBERS)]?.pid ?? 0;
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
  // Who has not stood for a whole time to live judges nobody, and nothing would be seen.
  const beganAt = performance.now();
  await until('all may judge', () => performance.now() - beganAt > JUDGED_WITHIN_MS && load.running >= SESSIONS / 2);
  // Where its node is away it finds the others, as the workers do.
  const url = broker.nodes[0]?.url ?? '';
  const connection = await BrokerConnection.open({ url, name: 'elections', log: silentLogger });
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const [name, elect] = WAYS[round % WAYS.length] ?? ['', async () => {}];
      const { running } = load;
      const before = load.twice().length;
      await elect(connection, broker);
      await leaderOf(connection, MEMBERS);
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
