import { describe, expect, it } from 'vitest';
import { isMessageId } from '#contracts';
import { makeCancelId } from './cancel-call.js';

describe('makeCancelId', () => {
  it.each(['order-5', 'x'.repeat(256), 'cancel:order-5', '🙂'])(
    'of the key %s is one id, and of no other key',
    (key) => {
      const id = makeCancelId(key);
      expect(makeCancelId(key)).toBe(id);
      expect(makeCancelId(`${key}.`)).not.toBe(id);
      expect(id).toMatch(/^cancel:[A-Za-z0-9_-]{22}$/);
      expect(isMessageId(id)).toBe(true);
    },
  );

  it('is a new one for a caller without a key', () => {
    const id = makeCancelId();
    expect(id).toMatch(/^cancel:[0-9a-f-]{36}$/);
    expect(makeCancelId()).not.toBe(id);
  });
});
