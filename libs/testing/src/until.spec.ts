import { expect, test } from 'vitest';
import { until } from './until.js';

test('answers the first truthy value', async () => {
  let count = 0;
  expect(await until('three', () => (++count === 3 ? 'here' : undefined))).toBe('here');
});

test('fails with the description and the last value', async () => {
  await expect(until('pigs fly', () => 0, { timeoutMs: 30 })).rejects.toThrow(
    'waited 30 ms in vain until pigs fly: last value 0',
  );
});

test('fails with the last error', async () => {
  const probe = () => Promise.reject(new Error('no wings'));
  await expect(until('pigs fly', probe, { timeoutMs: 30 })).rejects.toThrow('last error Error: no wings');
});

test('a probe that never answers does not outlast the timeout', async () => {
  await expect(until('it answers', () => new Promise(() => {}), { timeoutMs: 30 })).rejects.toThrow('no answer yet');
});
