import { describe, expect, it } from 'vitest';
import { TurnSlots } from './turn-slots.js';

describe('TurnSlots', () => {
  it('L5 starts at once while there are free ones, then the oldest of who waits, one for one', () => {
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

  it('who gives its slot back at once makes room for the next, however many they are', () => {
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

  it('who keeps its slot keeps it, among others that give theirs back', () => {
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
});
