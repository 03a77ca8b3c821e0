import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { packageRoot } from '#config';
import { Names } from '#contracts';
import { BrokerConnection, KeyBucket, PublishChannel, StreamReader } from '#jetstream';
import { silentLogger } from '#telemetry';
import { expectNothingLeft, startBroker, startService, tempDir } from '#testing';
import { ApiClient, requestJson } from '../support/api-client.js';

afterEach(expectNothingLeft);

const names = new Names('lk', 64);

it('with the users of deploy/nats no other service writes, removes or answers for a task; all of them work as ever', async () => {
  const dir = await tempDir('users');
  const passwords = { LANEKEEPER_NATS_PASSWORD: 'one', LANEKEEPER_GUARD_NATS_PASSWORD: 'two' };
  const file = join(packageRoot(), 'deploy', 'nats', 'users.conf');
  await using broker = await startBroker({ config: { file, env: passwords } });
  const as = (user: string, password: string): string => broker.url.replace('//', `//${user}:${password}@`);
  const url = as('lanekeeper', 'one');
  const env = { LANEKEEPER_NATS_URL: url, LANEKEEPER_HTTP_PORT: '0', LANEKEEPER_LOG_LEVEL: 'error' };
  const guardEnv = { ...env, LANEKEEPER_NATS_URL: as('guard', 'two') };
  const roles = await Promise.all([
    startService({ args: ['ingress'], cwd: dir.path, env }),
    startService({ args: ['worker'], cwd: dir.path, env }),
    startService({ args: ['guard'], cwd: dir.path, env: guardEnv }),
  ]);
  const [ingress, , guard] = roles;
  const api = new ApiClient(ingress.url ?? '');
  const answer = await api.send('s', { text: 'x', task: 'deploy' }, { wait: '20s' });
  expect(answer.body).toMatchObject({ decision: 'handled' });
  const show = async () => (await requestJson(`${guard.url}/v1/tasks/main%2Fs%3A%3Adeploy`)).body;
  const before = await show();
  expect(before).toMatchObject({ state: 'succeeded' });

  const connection = await BrokerConnection.open({ url, name: 'intruder', log: silentLogger });
  const channel = new PublishChannel(connection, { timeoutMs: 300 });
  const reader = new StreamReader(connection);
  const bucket = new KeyBucket(connection, channel, reader, names.tasksBucket, silentLogger);
  const stands = await bucket.read(names.taskKey('main/s::deploy'));
  expect(stands?.value).toContain('succeeded');
  const overwrite = await bucket.write(names.taskKey('main/s::deploy'), '{}', { expected: stands?.revision ?? 0 });
  expect(overwrite.kind).toBe('unclear');
  const stream = `KV_${names.tasksBucket}`;
  await expect(connection.jsm.streams.purge(stream)).rejects.toThrow(/ermission/);
  await expect(connection.jsm.streams.delete(stream)).rejects.toThrow(/ermission/);
  await expect(connection.jsm.streams.deleteMessage(stream, stands?.revision ?? 0)).rejects.toThrow(/ermission/);
  const answering = connection.nc.subscribe(names.guardSubject('acquire'), { queue: 'guard' });
  expect(String(await answering.closed)).toMatch(/ermission/);
  expect(await show()).toEqual(before);
  channel.close();
  await connection.close();
  for (const role of roles) await role.stop();
  await dir.remove();
});
