import { afterEach, expect, it } from 'vitest';
import { agent, closeAgents } from './http-agent.fixture.js';

afterEach(closeAgents);

it('a refusal that repeats the request reveals none of its secrets', async () => {
  const pair = 'me:p@ss-0815';
  const headers = {
    authorization: `Basic ${Buffer.from(pair).toString('base64')}`,
    'x-key': 'key-in-the-settings',
    'x-token': 'Bearer token-0815',
    'x-longer': 'key-in-the-settings-and-more',
    'x-no': 'no',
  };
  const { call } = await agent((response, request) => {
    const told = ['no, ', JSON.stringify(request.headers), pair, 'p@ss-0815', 'token-0815', 'hmac-0815'];
    response.writeHead(401).end(told.join(' '));
  });
  const error = (await call(undefined, 'hmac-0815', { headers }).catch((caught: unknown) => caught)) as {
    finding: { excerpt: string };
  };
  const { excerpt } = error.finding;
  expect(excerpt).toMatch(/^no, \{.*"authorization":"\*\*\*".*\} \*\*\* \*\*\* \*\*\* \*\*\*$/);
  for (const secret of ['0815', 'in-the-settings', headers.authorization.slice(6), 'and-more']) {
    expect(excerpt).not.toContain(secret);
  }
});
