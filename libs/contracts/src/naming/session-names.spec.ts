import { expect, it } from 'vitest';
import { sessionNames } from './session-names.js';
import { encodeToken } from './tokens.js';

it('names a session as people do, and shows an invalid token as it is', () => {
  const tokens = { agentToken: encodeToken('main'), sessionToken: encodeToken('telegram:42 🙂') };
  expect(sessionNames(tokens)).toEqual({ agent: 'main', session: 'telegram:42 🙂' });
  expect(sessionNames({ agentToken: '=zz', sessionToken: '*' })).toEqual({ agent: '=zz', session: '*' });
});
