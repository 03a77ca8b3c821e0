import { expect, it } from 'vitest';
import { Names, type InboxMessage } from '#contracts';
import type { Published } from './inbox.publisher.js';
import { ResendSwallowedPublisher } from './resend-swallowed.publisher.js';

const key = new Names('lk', 64).sessionTokens('main', 's');
const message: InboxMessage = { v: 1, kind: 'message', id: 'm', text: 'x' };
const duplicateOf = (seq: number): Published => ({ seq, duplicate: true, wasUnclear: false });

/** `answers`: what the broker says to a publish behind a sequence; 0 = the first. */
function publisherOf(answers: Record<number, Published>, swallowed: readonly number[]) {
  const asked: number[] = [];
  const inner = {
    publish: (_key: unknown, _entry: unknown, _trace: unknown, after: number) => {
      asked.push(after);
      return Promise.resolve(answers[after] as Published);
    },
  };
  const judge = { isSwallowed: (_key: unknown, seq: number) => Promise.resolve(swallowed.includes(seq)) };
  return { publisher: new ResendSwallowedPublisher(inner, judge), asked };
}

it('a repetition of what was swallowed is stored anew behind it, also when that was swallowed as well', async () => {
  const stored = { seq: 31, duplicate: false, wasUnclear: false };
  const { publisher, asked } = publisherOf({ 0: duplicateOf(5), 5: duplicateOf(9), 9: stored }, [5, 9]);
  expect(await publisher.publish(key, message, undefined, 0)).toEqual(stored);
  expect(asked).toEqual([0, 5, 9]);
});

it('of fifty repetitions at once the broker stores one; the others find it', async () => {
  const { publisher, asked } = publisherOf({ 0: duplicateOf(5), 5: duplicateOf(31) }, [5]);
  expect(await publisher.publish(key, message, undefined, 0)).toEqual(duplicateOf(31));
  expect(asked).toEqual([0, 5]);
});

it('any other answer is given on as it is', async () => {
  const fresh = { seq: 5, duplicate: false, wasUnclear: true };
  expect(await publisherOf({ 0: fresh }, [5]).publisher.publish(key, message, undefined, 0)).toEqual(fresh);
  expect(await publisherOf({ 7: duplicateOf(5) }, []).publisher.publish(key, message, undefined, 7)).toEqual(
    duplicateOf(5),
  );
});
