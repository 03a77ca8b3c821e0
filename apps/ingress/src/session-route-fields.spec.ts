import { describe, expect, it } from 'vitest';
import { ProblemException } from '#http';
import {
  readMessageId,
  readOptionalAgent,
  readOptionalSession,
  readSessionPath,
  readWait,
} from './session-route-fields.js';

function problemsOf(read: () => unknown) {
  try {
    read();
  } catch (error) {
    if (!(error instanceof ProblemException)) throw error;
    expect(error.problem.status).toBe(400);
    return error.problem.errors ?? [];
  }
  throw new Error('expected a problem');
}

const fields = (read: () => unknown) => problemsOf(read).map(({ field }) => field);

describe('readSessionPath', () => {
  it.each([
    ['main', 'telegram:-100:42'],
    ['a'.repeat(64), 'é'.repeat(256)],
    ['0', ' '],
  ])('takes %s, %s', (agent, session) => expect(readSessionPath(agent, session)).toEqual({ agent, session }));

  it.each([
    ['', 's', ['agent']],
    ['Main', 's', ['agent']],
    ['main\n', 's', ['agent']],
    ['-a', 's', ['agent']],
    ['*', 's', ['agent']],
    ['a'.repeat(65), 's', ['agent']],
    ['main', '', ['session']],
    ['main', 'é'.repeat(256) + 'x', ['session']],
    ['main', '🙂'.repeat(129), ['session']],
    ['a.b', '', ['agent', 'session']],
  ])('refuses %j, %j', (agent, session, expected) => {
    const read = () => readSessionPath(agent, session);
    expect(fields(read)).toEqual(expected);
    if (agent.length + session.length > 20) expect(JSON.stringify(problemsOf(read))).not.toContain('aaaa');
  });
});

describe('readWait', () => {
  it.each<[unknown, number | undefined]>([
    [undefined, undefined],
    ['500ms', 500],
    ['30s', 30_000],
    ['1.5s', 1_500],
    ['2m', 120_000],
    ['10m', 600_000],
  ])('%j is %s ms', (wait, waitMs) => expect(readWait(wait)).toBe(waitMs));

  it.each<[unknown]>([
    [''],
    ['soon'],
    ['30'],
    ['0s'],
    ['1440m'],
    ['-1s'],
    ['30 s'],
    ['30S'],
    ['1h'],
    ['11m'],
    ['600001ms'],
    ['30s\n'],
    ['30ss'],
    [`${'9'.repeat(400)}s`],
    [['30s', '30s']],
    [30],
    [{}],
  ])('refuses %j', (wait) => expect(fields(() => readWait(wait))).toEqual(['wait']));
});

describe('a filter of a list', () => {
  it.each(['A', '', ['a', 'b']])('refuses the agent %j', (agent) => {
    expect(fields(() => readOptionalAgent(agent))).toEqual(['agent']);
  });

  it.each(['', 'x'.repeat(513), ['a', 'b']])('refuses the session %j', (session) => {
    expect(fields(() => readOptionalSession(session))).toEqual(['session']);
  });
});

describe('readMessageId', () => {
  it.each<[string | undefined, unknown, string | undefined]>([
    [undefined, undefined, undefined],
    ['a', undefined, 'a'],
    [undefined, 'a', 'a'],
    ['a', 'a', 'a'],
    [undefined, 'x'.repeat(256), 'x'.repeat(256)],
  ])('body %j, header %j: %j', (body, header, id) => expect(readMessageId(body, header)).toBe(id));

  it.each<[string | undefined, unknown]>([
    [undefined, ''],
    ['a', ''],
    [undefined, 'x'.repeat(257)],
    [undefined, 'a\tb'],
    [undefined, 'a\u0085b'],
    [undefined, ['a', 'a']],
    ['a', 'b'],
  ])('refuses body %j, header %j', (body, header) => {
    const read = () => readMessageId(body, header);
    expect(fields(read)).toEqual(['Idempotency-Key']);
    expect(JSON.stringify(problemsOf(read))).not.toContain('xxx');
  });
});
