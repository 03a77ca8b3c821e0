import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, startService, tempDir } from '#testing';
import { spawnCli } from '../support/built-program.js';
import { startUp } from '../support/lanekeeper-up.js';
import { answerJson, startAgent } from '../support/recording-agent.js';
import { settingsFile } from '../support/settings-file.js';

afterEach(expectNothingLeft);

const SECRETS = ['p@ss w/%', 'p%40ss', 'in-the-text-0815', 'in-the-variable-0815', 'in-the-file-0815'];
const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`;

it('an agent gets the credentials of its url and the headers of its settings, and no other party sees them', async () => {
  await using agent = await startAgent((call, response) => {
    if (call.message.text === 'fail') response.destroy();
    else if (call.message.text === 'repeat') response.writeHead(401).end(JSON.stringify(call.headers));
    else answerJson(response, { replies: ['hello'] });
  });
  const dir = await tempDir('secrets');
  await writeFile(join(dir.path, 'token'), 'in-the-file-0815\n');
  const url = agent.url.replace('http://', 'http://me:p%40ss%20w%2F%25@');
  const headers = {
    'X-Text': 'in-the-text-0815',
    'x-variable': { env: 'AGENT_TOKEN' },
    'x-file': { file: join(dir.path, 'token') },
  };
  const main = { url, headers, maxAttempts: 1 };
  await using settings = await settingsFile({ agents: { main }, messages: { queue: { mode: 'followup', cap: 20 } } });
  const env = { ...settings.env, AGENT_TOKEN: 'in-the-variable-0815', LANEKEEPER_LOG_LEVEL: 'trace' };
  await using up = await startUp(env);
  const answer = await up.api.send('s', { id: 'm1', text: 'x' }, { wait: '20s' });
  expect(answer.body).toMatchObject({ status: 'succeeded', replies: [{ text: 'hello' }] });
  expect(agent.calls[0]?.headers).toMatchObject({
    ...{ authorization: basic('me:p@ss w/%'), 'x-text': 'in-the-text-0815', 'x-variable': 'in-the-variable-0815' },
    ...{ 'x-file': 'in-the-file-0815', 'accept-encoding': 'identity', 'idempotency-key': answer.body.runId },
  });
  const failed = await up.api.send('s', { id: 'm2', text: 'fail' }, { wait: '20s' });
  expect(failed.body).toMatchObject({ status: 'failed', error: { name: 'agent_no_answer' } });
  const repeated = await up.api.send('s', { id: 'm3', text: 'repeat' }, { wait: '20s' });
  expect(repeated.body).toMatchObject({ error: { status: 401, excerpt: expect.stringContaining('"***"') } });
  const routes = ['/v1/workers', '/v1/dead', '/readyz', '/openapi.json', `${up.api.path('s')}/turns`];
  const shown = [JSON.stringify([failed.body, repeated.body]), up.service.output()];
  for (const route of routes) shown.push(JSON.stringify((await up.api.get(route)).body));
  for (const secret of [...SECRETS, basic('me:p@ss w/%').slice(6)]) expect(shown.join('\n')).not.toContain(secret);
  await dir.remove();
});

it('a worker whose headers cannot be had does not start, says which, and an ingress without them does', async () => {
  const headers = { authorization: { env: 'AGENT_TOKEN' }, 'x-file': { file: '/no/such/file' } };
  await using settings = await settingsFile({ agents: { main: { url: 'http://127.0.0.1:1/', headers } } });
  await using broker = await startUp();
  const env = { ...settings.env, LANEKEEPER_HTTP_PORT: '0', LANEKEEPER_DATA_DIR: broker.dir.path };
  const push = await spawnCli({ folder: broker.dir.path, env }, ['settings', 'push']);
  expect((await push.exited).code).toBe(0);
  await expect(startService({ args: ['worker'], env, cwd: broker.dir.path })).rejects.toThrow(
    /agents\.main\.headers\.authorization: found nothing in variable AGENT_TOKEN[\s\S]*headers\.x-file: .*ENOENT/,
  );
  await using ingress = await startService({ args: ['ingress'], env, cwd: broker.dir.path });
  expect(ingress.url).toMatch(/^http:/);
});
