import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, until } from '#testing';
import { startUp } from '../support/lanekeeper-up.js';

afterEach(expectNothingLeft);

it('topic B is answered while the long turn of topic A still runs (L5)', async () => {
  await using up = await startUp();
  await up.api.send('topic-a', { id: 'long', text: 'compare all models', data: { sleepMs: 3_000 } });
  await until('its turn runs', async () => (await up.api.session('topic-a')).state === 'running');
  const quick = await up.api.send('topic-b', { id: 'quick', text: 'what time is it?' }, { wait: '20s' });
  expect(quick).toMatchObject({ status: 200, body: { status: 'succeeded', replies: [{ text: 'what time is it?' }] } });
  const a = await up.api.session('topic-a');
  expect(a).toMatchObject({ state: 'running', depth: 0, running: { attempt: 1 } });
  expect((await up.api.message('topic-a', 'long')).body).toMatchObject({
    disposition: 'running',
    runId: a.running.runId,
  });
  const [recordOfA] = await up.api.decided('topic-a', 1);
  const [recordOfB] = await up.api.turns('topic-b');
  expect(recordOfB?.recordSeq).toBeLessThan(recordOfA?.recordSeq ?? 0);
  expect((await up.api.session('topic-a')).state).toBe('idle');
});

it('follow-ups that come during a run are kept and make one turn', async () => {
  await using up = await startUp();
  await up.api.send('s', { id: 'm0', text: 'first', data: { sleepMs: 1_000 } });
  await until('its turn runs', async () => (await up.api.session('s')).state === 'running');
  for (const id of ['m1', 'm2', 'm3']) await up.api.send('s', { id, text: id });
  const waiting = await up.api.message('s', 'm2');
  expect(waiting.body).toMatchObject({ disposition: 'queued', position: 2 });
  expect(await up.api.session('s')).toMatchObject({ state: 'running', depth: 3 });
  const records = await up.api.decided('s', 4);
  expect(records.map(({ messages }) => messages.map(({ id }) => id))).toEqual([['m0'], ['m1', 'm2', 'm3']]);
});
