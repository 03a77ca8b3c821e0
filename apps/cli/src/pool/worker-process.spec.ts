import { expect, it } from 'vitest';
import { describeEnd } from './worker-process.js';

it('the end of a worker is told by its code or its signal', () => {
  expect(describeEnd(1, null)).toBe('ended with exit code 1');
  expect(describeEnd(137, null)).toBe('ended by SIGKILL');
  expect(describeEnd(139, null)).toBe('ended by SIGSEGV');
  expect(describeEnd(255, null)).toBe('ended with exit code 255');
  expect(describeEnd(null, 'SIGKILL')).toBe('its guard was ended by SIGKILL');
});
