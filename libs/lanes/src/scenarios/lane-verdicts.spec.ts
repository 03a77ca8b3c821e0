import { expect, it } from 'vitest';
import { jsonText } from '#contracts';
import { settled } from './lane-runner.fixture.js';
import { setUpSession } from './lane-strategies.fixture.js';

const error = (name: string) => ({ name, message: `because of ${name}` });

async function setUpBatch() {
  const session = setUpSession({});
  await session.sendAll(1, 2, 3, 4);
  await session.end('a');
  const decide = async (failed: { seq: number; name: string }[], more: object = {}): Promise<void> => {
    session.turn('a').end({ failed: failed.map(({ seq, name }) => ({ seq, error: error(name) })), ...more });
    await settled();
  };
  return { ...session, decide };
}

const letters = ({ records }: Awaited<ReturnType<typeof setUpBatch>>) =>
  records.buried.map(({ letter: { seq, status, error: why, message } }) => [seq, status, why, message.text]);

it('L1 messages that the agent names as failed end dead with their own errors, the others are handled', async () => {
  const session = await setUpBatch();
  const more = { replies: [{ kind: 'reply' as const, text: 'two' }], state: { value: { n: 1 } } };
  await session.decide(
    [
      { seq: 2, name: 'x' },
      { seq: 4, name: 'y' },
    ],
    more,
  );
  expect(session.last()).toMatchObject({
    ...{ kind: 'turn', status: 'succeeded', upto: 4, run: null, state: jsonText({ n: 1 }), sends: [{ text: 'two' }] },
    messages: [
      { seq: 2, decision: 'dead', reason: 'x' },
      { seq: 3, decision: 'handled' },
      { seq: 4, decision: 'dead', reason: 'y' },
    ],
  });
  expect(session.last()).not.toHaveProperty('error');
  expect(session.events.at(-1)).toMatchObject({
    ...{ type: 'turn-ended', status: 'succeeded' },
    failed: [
      { seq: 2, error: error('x') },
      { seq: 4, error: error('y') },
    ],
  });
  expect(letters(session)).toEqual([
    [2, 'failed', error('x'), 'x'],
    [4, 'failed', error('y'), 'x'],
  ]);
});

it('keeps what is dead before the record that decides it', async () => {
  const session = await setUpBatch();
  session.closed.add('bury');
  await session.decide([{ seq: 3, name: 'x' }]);
  expect(session.records.of('a')).toHaveLength(1);
  await session.open();
  expect(session.last()).toMatchObject({ upto: 4 });
  expect(session.records.buried).toMatchObject([{ records: 1, letter: { seq: 3 } }]);
});

it('of which none is handled, its turn has failed; what it said and keeps counts all the same', async () => {
  const session = await setUpBatch();
  const failed = [2, 3, 4].map((seq) => ({ seq, name: `e${seq}` }));
  await session.decide(failed, { replies: [{ kind: 'reply', text: 'none' }], state: { value: 7 } });
  expect(session.last()).toMatchObject({
    ...{ status: 'failed', error: error('e4'), state: jsonText(7), sends: [{ text: 'none' }] },
    messages: [2, 3, 4].map((seq) => ({ seq, decision: 'dead', reason: `e${seq}` })),
  });
  expect(letters(session).map(([seq, , why]) => [seq, why])).toEqual([2, 3, 4].map((seq) => [seq, error(`e${seq}`)]));
});

it('that say more than a record holds end the turn, and all of its messages, dead', async () => {
  const session = await setUpBatch();
  await session.decide([{ seq: 3, name: 'x' }], { state: { value: 'x'.repeat(300_000) } });
  expect(session.last()).toMatchObject({ status: 'failed', error: { name: 'state_too_large' } });
  expect(letters(session).map(([seq, status]) => [seq, status])).toEqual([2, 3, 4].map((seq) => [seq, 'failed']));
});
