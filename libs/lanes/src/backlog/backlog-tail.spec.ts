import { expect, it } from 'vitest';
import { BacklogTail } from './backlog-tail.js';
import { emptyHead } from '#contracts';
import { item, seqsOf } from '../lane/lane.fixture.js';

const HEAD = emptyHead();

function setUp(...seqs: number[]) {
  const tail = new BacklogTail();
  for (const seq of seqs) tail.push(seq);
  const kept = () => [tail.seqs, seqsOf(tail.peeked)];
  return { tail, kept };
}

it('is read again from the front: up to what is needed, or what there is room for', () => {
  const { tail } = setUp(4, 6, 7, 9);
  expect([tail.toRead(0, 2), tail.toRead(3, 0), tail.toRead(7, 1)]).toEqual([[4, 6], [], [4, 6, 7]]);
  expect(setUp().tail.toRead(7, 2)).toEqual([]);
});

it('can be looked at for an order, and stays where it is until it is read or decided', () => {
  const { tail, kept } = setUp(3, 4, 5, 6, 7);
  tail.peek([4, 6], [item(6)], 6);
  expect(kept()).toEqual([[3, 5, 6, 7], [6]]);
  tail.peek([5], [item(5)], 5);
  expect(kept()).toEqual([
    [3, 5, 6, 7],
    [6, 5],
  ]);
  tail.dropDecided({ ...HEAD, upto: 2 });
  tail.dropDecided({ ...HEAD, upto: 5 });
  expect(kept()).toEqual([[6, 7], [6]]);
  tail.readTo(6);
  expect(kept()).toEqual([[7], []]);
});

it('what was looked at and is gone, or gets no turn, is forgotten', () => {
  const { tail, kept } = setUp(3, 4, 5);
  tail.peek([3, 4, 5], [item(4)], 4);
  expect(kept()).toEqual([[4, 5], [4]]);
  tail.remove(4);
  expect(kept()).toEqual([[5], []]);
});

it('takes back what lay before it in its place', () => {
  const { tail, kept } = setUp(5, 6);
  tail.putBack([item(3), item(1)]);
  expect(kept()).toEqual([[1, 3, 5, 6], []]);
});
