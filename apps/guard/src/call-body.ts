import { decodeUtf8, readJson, type InputProblem } from '#contracts';

/** Parts of a call over NATS that are passed on without being read. */
const CARRIED = { request: { meta: true, result: true } } as const;

/** A call that cannot be accepted as it was sent: its caller is told why. */
export class UnreadableCall {
  constructor(readonly problem: InputProblem) {}
}

/**
 * Reads a call; an `UnreadableCall` for JSON that two readers may read differently. Other text is a call without any fields.
 */
export function readCallBody(bytes: Uint8Array): unknown {
  const text = decodeUtf8(bytes);
  if (text === undefined) {
    return new UnreadableCall({ field: 'body', found: 'bytes that are no UTF-8', wanted: 'JSON in UTF-8' });
  }
  const read = readJson(text, CARRIED);
  if (read.ok) return read.value;
  if (read.fault === undefined) return undefined;
  // The error names fields of the request, as over HTTP.
  const { field, found, wanted } = read.fault;
  return new UnreadableCall({ field: field.replace(/^request\./, '') || 'body', found, wanted });
}
