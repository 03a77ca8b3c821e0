import { describe, expect, it } from 'vitest';
import { closestName } from './closest-name.js';

const known = ['id', 'text', 'data', 'author', 'thread', 'replyTo', 'sentAt'];

describe('closestName', () => {
  it.each([
    ['txt', 'text'],
    ['TEXT', 'text'],
    ['replyto', 'replyTo'],
    ['reply_to', 'replyTo'],
    ['tread', 'thread'],
    ['sendAt', 'sentAt'],
    ['autor', 'author'],
    ['attachments', undefined],
    ['somethingElse', undefined],
  ])('%s means %s', (name, meant) => expect(closestName(name, known)).toBe(meant));

  it('finds nothing in an empty list', () => expect(closestName('text', [])).toBeUndefined());
});
