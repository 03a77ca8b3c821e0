import { describe, expect, it } from 'vitest';
import { TurnSlots } from './turn-slots.js';

describe('TurnSlots', () => {
  it('L5 starts at once while there are free ones, then the oldest of those that wait, one for one', () => {
    const slots = new TurnSlots(2);
    const started: number[] = [];
    for (const age of [7, 5, 9, 3, 8]) slots.acquire(age, () => started.push(age));
    expect([started, slots.running, slots.waiting]).toEqual([[7, 5], 2, 3]);
    slots.release();
    slots.release();
    expect([started, slots.running, slots.waiting]).toEqual([[7, 5, 3, 8], 2, 1]);
    for (let i = 0; i < 3; i++) slots.release();
    expect([started.at(-1), slots.running, slots.waiting]).toEqual([9, 0, 0]);
  });

  it('a lane that gives its slot back at once makes room for the next, however many there are', () => {
    const slots = new TurnSlots(1);
    let count = 0;
    slots.acquire(0, () => {});
    for (let age = 1; age <= 100_000; age++) {
      slots.acquire(age, () => {
        count++;
        slots.release();
      });
    }
    slots.release();
    expect([count, slots.running, slots.waiting]).toEqual([100_000, 0, 0]);
  });

  it('a lane that keeps its slot keeps it, among others that give theirs back', () => {
    const slots = new TurnSlots(2);
    const kept: number[] = [];
    slots.acquire(0, () => {});
    slots.acquire(0, () => {});
    for (let age = 1; age <= 6; age++) {
      slots.acquire(age, () => {
        if (age % 2 === 0) kept.push(age);
        else slots.release();
      });
    }
    slots.release();
    expect([kept, slots.running, slots.waiting]).toEqual([[2], 2, 4]);
    slots.release();
    slots.release();
    expect([kept, slots.running, slots.waiting]).toEqual([[2, 4, 6], 2, 0]);
  });

  it('a lane that has left keeps no place for long, and gets no slot', () => {
    const slots = new TurnSlots<number>(1);
    const started: number[] = [];
    const start = (age: number): void => void started.push(age);
    for (let age = 0; age <= 1_000; age++) {
      const place = slots.acquire(age, start, age);
      if (age % 10 !== 0 && place !== undefined) slots.leave(place);
    }
    expect(slots.waiting).toBeLessThanOrEqual(2 * 100 + 1);
    for (let i = 0; i < 100; i++) slots.release();
    expect([started, slots.running]).toEqual([Array.from({ length: 101 }, (_, i) => i * 10), 1]);
    slots.release();
    expect([slots.running, slots.waiting]).toEqual([0, 0]);
  });

  it('L5 a lane that leaves and comes again, however often, has one place, and by its age then', () => {
    const slots = new TurnSlots<string>(1);
    const started: string[] = [];
    const ask = (age: number, owner: string) => slots.acquire(age, (who) => void started.push(who), owner);
    ask(0, 'first');
    for (let age = 1; age < 1_000; age++) {
      const place = ask(age, 'restless');
      if (place !== undefined) slots.leave(place);
    }
    ask(1_001, 'restless');
    ask(1_000, 'patient');
    expect(slots.waiting).toBeLessThan(5);
    for (let i = 0; i < 3; i++) slots.release();
    expect([started, slots.running, slots.waiting]).toEqual([['first', 'patient', 'restless'], 0, 0]);
  });

  it('L6 a start that throws keeps no other from a slot', () => {
    const slots = new TurnSlots(2);
    const started: number[] = [];
    slots.acquire(0, () => {});
    slots.acquire(0, () => {});
    slots.acquire(1, () => {
      throw new Error('a bug');
    });
    for (const age of [2, 3]) slots.acquire(age, () => started.push(age));
    expect(() => slots.release()).toThrow('a bug');
    slots.release();
    expect(started).toEqual([2]);
  });
});
