import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, spawnOwned, tempDir, until } from '#testing';
import { machineTimeOf, WallClock } from './wall-clock.js';

afterEach(expectNothingLeft);

it('a process goes by the clock that it was given, also when that jumps while it runs; its monotonic clock stays true', async () => {
  await using dir = await tempDir('wall-clock');
  const clock = new WallClock(join(dir.path, 'clock'), -700);
  const program = `setInterval(() => {
    const real = performance.timeOrigin + performance.now();
    console.log(Math.round(Date.now() - real), Math.round(new Date().getTime() - real), new Date(0).toISOString());
  }, 10)`;
  const { PATH } = process.env;
  const env = { PATH, ...clock.env };
  const owned = await spawnOwned({ command: process.execPath, args: ['-e', program], env, cwd: dir.path });
  let last = '';
  owned.onLine((line) => (last = line));
  const shows = async (wantedMs: number): Promise<void> => {
    await until(`the clock is beside the machine's by ${wantedMs} ms`, () => {
      const [now, made, epoch] = last.split(' ');
      const isNear = (value: string | undefined): boolean => Math.abs(Number(value) - wantedMs) < 50;
      return isNear(now) && isNear(made) && epoch === '1970-01-01T00:00:00.000Z';
    });
  };
  try {
    await shows(-700);
    clock.jump(600_000);
    await shows(599_300);
    clock.jump(-600_000);
    await shows(-600_700);
    clock.setRight();
    await shows(-700);
  } finally {
    await owned.killGroup9();
  }
});

it('what a process told of is put at the machine’s time, and of a time that its clock showed twice at the later that fits', () => {
  const shifts = [
    { at: 0, shiftMs: 100 },
    { at: 1_000, shiftMs: 5_100 },
    { at: 2_000, shiftMs: 100 },
  ];
  expect(machineTimeOf(600, 510, shifts)).toBe(500);
  expect(machineTimeOf(6_600, 1_510, shifts)).toBe(1_500);
  expect(machineTimeOf(6_600, 6_510, shifts)).toBe(6_500);
  expect(machineTimeOf(2_600, 2_510, shifts)).toBe(2_500);
});
