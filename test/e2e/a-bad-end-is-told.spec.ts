import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, until } from '#testing';
import { answerJson, answerStatus, startAgent } from '../support/recording-agent.js';
import { startUpWith } from '../support/up-with-settings.js';

/** What came to no good end is in the log and on the routes, with its cause, and without what people wrote. */

afterEach(expectNothingLeft);

const WAIT = { wait: '20s' };
const SECRET = 'my-secret-text';

interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

function linesOf(output: string): LogLine[] {
  return output.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as LogLine] : []));
}

it('a turn that fails, comes again and ends dead says so each time; the message tells its attempt and error meanwhile', async () => {
  await using agent = await startAgent((_call, response) => answerStatus(response, 500));
  await using up = await startUpWith(
    { agents: { main: { url: agent.url, maxAttempts: 2, backoffInitialMs: 2_000, backoffMaxMs: 2_000 } } },
    { LANEKEEPER_LOG_LEVEL: 'info' },
  );
  const { api } = up;
  const answer = api.send('s', { id: 'm', text: SECRET }, WAIT);
  const waiting = await until('its first attempt has failed', async () => {
    const { body } = await api.message('s', 'm');
    return body.disposition === 'waiting' ? body : undefined;
  });
  expect(waiting).toMatchObject({ attempt: 2, error: { name: 'agent_failed', message: 'the agent answered 500' } });

  expect((await answer).body).toMatchObject({ decision: 'dead', error: { name: 'agent_failed' }, replies: [] });
  expect((await api.message('s', 'm')).body).toMatchObject({
    ...{ disposition: 'decided', decision: 'dead', status: 'failed', attempt: 2, replies: [] },
    error: { name: 'agent_failed', message: 'the agent answered 500' },
  });
  const told = await until('the log has it', () => {
    const lines = linesOf(up.service.output());
    return lines.some(({ msg }) => msg === 'turn ended dead') ? lines : undefined;
  });
  const where = { agent: 'main', session: 's', error: 'agent_failed', level: 'warn' };
  expect(told.filter(({ level }) => level === 'warn')).toMatchObject([
    { ...where, msg: 'turn failed and runs again', nextAttempt: 2 },
    { ...where, msg: 'turn ended dead', attempt: 2, status: 'failed', messageIds: ['m'] },
  ]);
  expect(up.service.output()).not.toContain(SECRET);
});

it('of a flood of messages that are dropped the log says a few, and how many more', async () => {
  await using agent = await startAgent((call, response) => {
    if (call.message.id !== 'hang') answerJson(response, { replies: [] });
  });
  await using up = await startUpWith(
    { agents: { main: { url: agent.url, strategy: 'drop', overflowAction: 'silent' } }, drainMs: 0 },
    { LANEKEEPER_LOG_LEVEL: 'info' },
  );
  const { api } = up;
  await api.send('s', { id: 'hang', text: SECRET });
  await agent.call(1);
  const sent = await Promise.all(Array.from({ length: 300 }, (_, i) => api.send('s', { id: `m${i}`, text: SECRET })));
  expect(sent.every(({ status }) => status === 202)).toBe(true);
  const dropped = await until('all are told', () => {
    const lines = linesOf(up.service.output()).filter(({ msg }) => msg === 'message dropped');
    const count = lines.reduce((sum, { more }) => sum + ((more as number | undefined) ?? 1), 0);
    return count === 300 ? lines : undefined;
  });
  expect(dropped.length).toBeLessThan(60);
  expect(dropped[0]).toMatchObject({ level: 'info', agent: 'main', session: 's', reason: 'busy' });
  expect(up.service.output()).not.toContain(SECRET);
});
