import { expect, it } from 'vitest';
import { setUpProcess } from './lane-process.fixture.js';

it('L4 a note of a zombie that was refused does not let the result of its turn through', async () => {
  let stands = true;
  const a = setUpProcess({ worker: 'A/1', mayStart: () => stands });
  await a.receive('a', 1);
  expect(a.turn('a').batch).toMatchObject({ attempt: 1 });
  stands = false;
  const b = setUpProcess({ worker: 'B/1', records: a.records, clock: a.clock, isRecovery: true });
  await b.receive('a', 1);
  expect(b.turn('a').batch).toMatchObject({ attempt: 2 });
  // The zombie reads on for a moment, and would reject this.
  await a.receive('a', 2, 'rubbish');
  await a.end('a');
  await b.end('a');
  const turns = a.records.of('a').filter(({ kind }) => kind === 'turn');
  expect(turns).toMatchObject([{ worker: 'B/1', attempt: 2 }]);
});
