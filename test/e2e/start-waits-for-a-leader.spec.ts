import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  expectNothingLeft,
  startBrokerCluster,
  tempDir,
  until,
  type OwnedProcess,
  type TempDir,
  type TestBrokerCluster,
} from '#testing';
import { ApiClient } from '../support/api-client.js';
import { spawnCli } from '../support/built-program.js';

let cluster: TestBrokerCluster;
let dir: TempDir;
let started: OwnedProcess[];

beforeEach(async () => {
  started = [];
  cluster = await startBrokerCluster();
  dir = await tempDir('roles');
  await writeFile(join(dir.path, 'lanekeeper.yaml'), 'nats: {replicas: 3}\nlog: {level: warn}\nhttp: {port: 0}\n');
});

afterEach(async () => {
  await Promise.all(started.map((role) => role.stop()));
  await cluster[Symbol.asyncDispose]();
  await dir.remove();
  await expectNothingLeft();
});

/** Of three nodes the first one alone is no cluster: it takes connections, and elects no leader. */
function signalOthers(signal: 'SIGSTOP' | 'SIGCONT'): void {
  for (const { pid } of cluster.nodes.slice(1)) process.kill(pid, signal);
}

async function start(role: string): Promise<OwnedProcess> {
  const place = { folder: dir.path, env: { LANEKEEPER_NATS_URL: cluster.nodes[0]?.url ?? '' } };
  const running = await spawnCli(place, [role]);
  started.push(running);
  return running;
}

async function untilItWaits(role: OwnedProcess): Promise<void> {
  await until('it says what it waits for', () => /JetStream does not answer yet.*elects a leader/.test(role.output()));
}

it('roles that start while the broker has no leader wait for one, and go on by themselves', async () => {
  signalOthers('SIGSTOP');
  const [ingress, worker] = await Promise.all([start('ingress'), start('worker')]);
  await Promise.all([ingress, worker].map(untilItWaits));
  signalOthers('SIGCONT');
  const url = await until('the ingress is ready', () => /^ready (\S+)$/m.exec(ingress.output())?.[1]);
  await until('the worker is ready', () => /^ready$/m.test(worker.output()));
  const answer = await new ApiClient(url).send('s', { text: 'hello' }, { wait: '20s' });
  expect(answer).toMatchObject({ status: 200, body: { replies: [{ text: 'hello' }] } });
});

it('a stop ends the wait', async () => {
  signalOthers('SIGSTOP');
  const ingress = await start('ingress');
  await untilItWaits(ingress);
  expect(await ingress.stop()).toEqual({ code: 0, signal: null });
});
