import { expect, test } from 'vitest';
import { expectNothingLeft, spawnSourceProgram } from '#testing';
import type { TurnMemory } from './turn-memory.fixture.js';

async function measure(): Promise<TurnMemory> {
  const program = await spawnSourceProgram(
    `await import('./apps/worker/src/agents/turn-memory.fixture.ts');`,
    // No full collection before the old generation has grown by a gigabyte; the young one starts small, as it does in a worker.
    ['--expose-gc', '--initial-old-space-size=1024'],
  );
  await program.exited;
  const [, json] = /^measured (.*)$/m.exec(program.output()) ?? [];
  if (json === undefined) throw new Error(`nothing was measured: ${program.output()}`);
  return JSON.parse(json) as TurnMemory;
}

/**
 * Today it is about 63 bytes: what the lanes keep of their last turn. With each former leak put back: 740 with
 * allocation-site pretenuring, 2,100 with a `Map` of running runs, 3,100 with an object literal with getters as the
 * input of a turn. Bytes, not times: a busy machine does not change them.
 */
const MAX_BYTES_PER_TURN = 300;

test('a turn leaves almost no bytes in the old generation', async () => {
  const { bytesPerTurn, majorCollections } = await measure();
  expect(majorCollections).toBe(0);
  expect(bytesPerTurn).toBeLessThan(MAX_BYTES_PER_TURN);
  await expectNothingLeft();
});
