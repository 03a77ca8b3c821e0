import { describe, expect, it } from 'vitest';
import { DECISIONS } from './decisions.js';
import { CANCELLED_BETWEEN_ATTEMPTS, isIdFree } from './id-reuse.js';

const freeIn = (kind: 'turn' | 'note') =>
  DECISIONS.filter((decision) => isIdFree({ kind }, { id: 'm', seq: 1, decision }));

describe('an id may be sent again', () => {
  it('after a note that decided its message without a turn, and after it ended dead', () => {
    expect(freeIn('note')).toEqual(['dropped', 'expired', 'cancelled', 'refused', 'dead', 'rejected']);
  });

  it('after the record of a turn that did not have it; messages of the turn stay duplicates, even a cancelled one', () => {
    expect(freeIn('turn')).toEqual(['dropped', 'expired', 'refused', 'dead', 'rejected']);
  });

  it('not after a cancel between two attempts: the first attempt had it', () => {
    const decided = { id: 'm', seq: 1, decision: 'cancelled', reason: CANCELLED_BETWEEN_ATTEMPTS } as const;
    expect(isIdFree({ kind: 'note' }, decided)).toBe(false);
  });
});
