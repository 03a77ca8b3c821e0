import { decodeUtf8, readJson, type InputProblem } from '#contracts';

/** What of a call over NATS is only carried. */
const CARRIED = { request: { meta: true, result: true } } as const;

/** A call that cannot be taken as it was sent: its caller is told why. */
export class UnreadableCall {
  constructor(readonly problem: InputProblem) {}
}

/** Reads a call; an `UnreadableCall` for what two readers may read differently. No JSON is a call that lacks all fields. */
export function readCallBody(bytes: Uint8Array): unknown {
  const text = decodeUtf8(bytes);
  if (text === undefined) {
    return new UnreadableCall({ field: 'body', found: 'bytes that are no UTF-8', wanted: 'JSON in UTF-8' });
  }
  const read = readJson(text, CARRIED);
  if (read.ok) return read.value;
  if (read.fault === undefined) return undefined;
  // Told by the fields of the request, as over HTTP.
  const { field, found, wanted } = read.fault;
  return new UnreadableCall({ field: field.replace(/^request\./, '') || 'body', found, wanted });
}
