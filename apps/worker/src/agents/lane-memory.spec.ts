import { expect, test } from 'vitest';
import { expectNothingLeft, spawnSourceProgram } from '#testing';
import type { LaneMemory } from './lane-memory.fixture.js';

/** Today about 470 bytes. It was 2,030 before a lane created its parts on demand and dropped them when idle. */
const MAX_IDLE_BYTES = 600;
/** Today about 1,390 bytes with a message of 110 bytes, of which about 480 are the message. */
const MAX_WAITING_BYTES = 1_600;
/** Today about 660 bytes: the lane of one with nothing to do, and a number. */
const MAX_LACKING_BYTES = 800;

/** Bytes, not times: a busy machine does not change them. */
test('an idle session keeps little more than its head, and a waiting one little more than its message', async () => {
  const program = await spawnSourceProgram(`await import('./apps/worker/src/agents/lane-memory.fixture.ts');`, [
    '--expose-gc',
  ]);
  await program.exited;
  const [, json] = /^measured (.*)$/m.exec(program.output()) ?? [];
  if (json === undefined) throw new Error(`nothing was measured: ${program.output()}`);
  const { idle, waiting, lacking } = JSON.parse(json) as LaneMemory;
  expect(idle).toBeLessThan(MAX_IDLE_BYTES);
  expect(waiting).toBeLessThan(MAX_WAITING_BYTES);
  expect(lacking).toBeLessThan(MAX_LACKING_BYTES);
  await expectNothingLeft();
});
