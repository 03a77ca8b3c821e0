import { describe, expect, it } from 'vitest';
import { cursorAfter } from './next-cursor.js';
import { broken, item, loaded, NOW, openLane, order, runTurn } from './lane.fixture.js';

describe('the cursor', () => {
  it('L3 passes over no message that another route, or a rejection, still has to decide', () => {
    const lane = openLane([item(1, 'a'), broken(2), item(3, 'b'), item(4, 'a')]);
    runTurn(lane);
    expect(lane.head).toMatchObject({ upto: 1, done: [[4, 4]] });
    expect(cursorAfter(lane, [2])).toMatchObject({ upto: 2, done: [[4, 4]] });
  });

  it('L3 passes over no message that a new reader has not come to yet', () => {
    const lane = openLane([item(5)], loaded({ upto: 3, done: [[10, 10]] }));
    expect(runTurn(lane)).toEqual([5]);
    expect(lane.arrive(item(7), 0)).toBe(true);
    expect(runTurn(lane)).toEqual([7]);
    expect(lane.arrive(item(10), 0)).toBe(false);
    expect(cursorAfter(lane, [])).toMatchObject({ upto: 10, done: [] });
  });

  it('L3 passes over no order that is still to be carried out', () => {
    const lane = openLane([item(1), order(2), item(3)]);
    expect(cursorAfter(lane, [1, 3])).toMatchObject({ upto: 1, done: [[3, 3]] });
    lane.serial.take(NOW);
    expect(cursorAfter(lane, [1, 3])).toMatchObject({ upto: 1, done: [[3, 3]] });
    expect(cursorAfter(lane, [1, 2, 3])).toMatchObject({ upto: 3, done: [] });
  });

  it('passes over no message of the running batch', () => {
    const lane = openLane([item(1), item(2)]);
    lane.serial.take(NOW);
    lane.arrive(broken(3), 0);
    expect(cursorAfter(lane, [3])).toMatchObject({ upto: 0, done: [[3, 3]] });
  });
});
