import fc from 'fast-check';
import { expect, it } from 'vitest';
import { decodeUtf8 } from './utf8.js';

it('decodes UTF-8 to what was encoded, and refuses everything else', () => {
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const bytes = fc.oneof(
    fc.uint8Array(),
    fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)),
    fc.constantFrom('\ufffd', '\ufeffx', '\ufffd\u0000').map((text) => new Uint8Array(Buffer.from(text))),
  );
  fc.assert(
    fc.property(bytes, (given) => {
      let wanted: string | undefined;
      try {
        wanted = strict.decode(given);
      } catch {
        // Not UTF-8.
      }
      expect(decodeUtf8(given)).toBe(wanted);
    }),
    { numRuns: 5_000 },
  );
});
