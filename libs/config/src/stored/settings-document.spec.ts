import { describe, expect, it } from 'vitest';
import { checkShared, documentOf, makeDocument, readDocument, writeDocument } from './settings-document.js';
import type { SharedSettings } from './shared-settings.js';

const AUTHOR = { by: 'lanekeeper up on web-1', at: '2026-11-30T12:00:00.000Z' };
const SECRET = '0123456789abcdefgh';
const shared: SharedSettings = { agents: { main: { url: 'http://u:pw@h/turn', secret: SECRET } }, concurrency: 'fifo' };

describe('the document of an installation', () => {
  it('has what people wrote, its author, and hashes instead of secrets', async () => {
    const made = await makeDocument(shared, AUTHOR);
    const text = writeDocument(made);
    expect(documentOf(text, 1)).toEqual(made);
    expect(made).toMatchObject({
      ...AUTHOR,
      settings: { agents: { main: { url: 'http://h/turn' } }, concurrency: 'fifo' },
    });
    expect(Object.keys(made.secrets)).toEqual(['agents.main.secret', 'agents.main.url']);
    for (const secret of [SECRET, 'u:pw', 'pw@']) expect(text).not.toContain(secret);
  });

  it('has a new salt, or the salt of the document before, so that hashes can be compared', async () => {
    const [one, other] = await Promise.all([makeDocument(shared, AUTHOR), makeDocument(shared, AUTHOR)]);
    expect(other.salt).not.toBe(one.salt);
    expect(other.secrets).not.toEqual(one.secrets);
    expect((await makeDocument(shared, { ...AUTHOR, salt: one.salt })).secrets).toEqual(one.secrets);
  });

  it('has a size limit, and the error says by how much it is exceeded', async () => {
    const many = Object.fromEntries(
      Array.from({ length: 6_000 }, (_, i) => [`agent-${i}`, { busyMessage: 'x'.repeat(80) }]),
    );
    const made = await makeDocument({ agents: many }, AUTHOR);
    expect(() => writeDocument(made)).toThrow(/found \d{6} bytes, wanted at most 524288; shorten them/);
  });

  it.each([
    ['damaged', 'no JSON', 'found a damaged document.*lanekeeper settings push'],
    ['damaged', '7', 'found a damaged document'],
    ['damaged', 'null', 'found a damaged document'],
    ['damaged', '{"v":1,"settings":[]}', 'found a damaged document'],
    ['newer', '{"v":2,"groups":{}}', 'a later version of lanekeeper, wanted shape 1; run that version here too'],
  ])('that is %s (%s) is refused, and the error says what to do', (kind, text, message) => {
    expect(readDocument(text)).toEqual({ kind });
    expect(() => documentOf(text, 7)).toThrow(new RegExp(`version 7: .*${message}`));
  });

  it('may have unknown fields around the settings', async () => {
    const made = await makeDocument(shared, AUTHOR);
    expect(readDocument(JSON.stringify({ ...made, note: 'later' }))).toMatchObject({ kind: 'readable' });
  });
});

describe('settings of an installation that this version cannot use', () => {
  it('are refused with every field, like those of a file', () => {
    const wrong = { agents: { main: { maxAttempts: 0, maxAtempts: 3, handler: 'a', url: 'http://h/' } } };
    expect(() => checkShared(wrong as SharedSettings, 4)).toThrow(
      /installation's settings, version 4; .*\n {2}- agents\.main\.maxAttempts: found the number 0, wanted .*\n.*maxAtempts.*did you mean.*\n.*a url and a handler/s,
    );
  });
});
