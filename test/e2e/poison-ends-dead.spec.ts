import { writeFile } from 'node:fs/promises';
import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, until, type OwnedProcess } from '#testing';
import { spawnBuiltProgram } from '../support/built-program.js';
import { startCluster, type Cluster } from '../support/cluster.js';

afterEach(expectNothingLeft);

const INNOCENT = 200;

/** A worker with a handler that ends its own process, at once and without a word, when a message asks for it. */
async function startKillable(cluster: Cluster, name: string): Promise<OwnedProcess> {
  const settings = JSON.stringify({
    nats: { url: cluster.broker.url },
    worker: { id: name },
    membership: { ttlMs: 2_000, renewMs: 400 },
    log: { level: 'warn' },
  });
  const file = `${cluster.folder}/${name}.json`;
  await writeFile(file, settings);
  const program = await spawnBuiltProgram(`
    await import('reflect-metadata');
    const { setTimeout: sleep } = await import('node:timers/promises');
    const { OnTurn } = await import('#agents');
    const { loadSettings } = await import('#config');
    const { createLogger } = await import('#telemetry');
    const { startWorker } = await import('#worker');
    class Agent {
      async answer(turn) {
        if (turn.messages.some(({ text }) => text === 'kill')) process.kill(process.pid, 'SIGKILL');
        await sleep(20, undefined, { signal: turn.signal });
        turn.reply('fine');
      }
    }
    OnTurn('main')(Agent.prototype, 'answer', Object.getOwnPropertyDescriptor(Agent.prototype, 'answer'));
    const settings = loadSettings({ cwd: '/', env: { LANEKEEPER_CONFIG: ${JSON.stringify(file)} } });
    const log = createLogger({ level: 'warn', service: 'worker' });
    const worker = await startWorker({ settings, natsUrl: settings.nats.url, log, providers: [Agent] });
    process.once('SIGTERM', () => void worker.stop().then(() => process.exit()));
    console.log('ready');
  `);
  await new Promise<void>((resolve, reject) => {
    program.onLine((line) => line === 'ready' && resolve());
    void program.exited.then(() => reject(new Error(`the worker ended: ${program.output()}`)));
  });
  return program;
}

it('a message that ends its worker each time is dead in the end; the 200 turns beside it all succeed (L3, L6)', async () => {
  await using cluster = await startCluster([]);
  await using stack = new AsyncDisposableStack();
  const { api } = cluster;
  const sessions = Array.from({ length: INNOCENT }, (_, i) => `innocent-${i}`);
  await Promise.all(sessions.map((session) => api.send(session, { id: 'm', text: 'hello' })));
  await api.send('poison', { id: 'killer', text: 'kill' });
  // All wait, so all run at once when a worker comes.
  let lives = 0;
  const isDecided = async (): Promise<boolean> => {
    const { body } = await api.message('poison', 'killer');
    return body.disposition === 'decided';
  };
  while (!(await isDecided())) {
    // As an orchestrator does: a worker that has ended is started again, under its name.
    expect(++lives).toBeLessThan(6);
    const worker = await startKillable(cluster, 'w');
    stack.defer(async () => void (await worker.stop()));
    let hasEnded = false;
    void worker.exited.then(() => (hasEnded = true));
    await until('it ends, or the killer is decided', async () => hasEnded || (await isDecided()));
    // Behind the batch, which the note of the second life has frozen.
    if (lives === 2) await api.send('poison', { id: 'next', text: 'hello' });
  }
  for (const session of sessions) {
    const turns = (await api.decided(session, 1)).filter(({ kind }) => kind === 'turn');
    expect(turns).toMatchObject([{ status: 'succeeded', messages: [{ id: 'm', decision: 'handled' }] }]);
  }
  const records = (await api.decided('poison', 2)).filter(({ kind }) => kind === 'turn');
  expect(records).toMatchObject([
    { status: 'failed', error: { name: 'worker_crashed' }, messages: [{ id: 'killer', decision: 'dead' }] },
    { status: 'succeeded', messages: [{ id: 'next', decision: 'handled' }] },
  ]);
  const { body } = await api.get('/v1/dead');
  expect(body.dead).toMatchObject([{ messageId: 'killer', session: 'poison' }]);
  // Two crashes beside the others, one alone; the fourth life ran everything else.
  expect(lives).toBe(4);
});
