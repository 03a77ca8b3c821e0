import { readJson, type CarriedMembers } from '#contracts';
import { AnswerError } from '../handler-answer.js';

/** `data` and `state` of an agent are kept as the text that they came as, digit for digit. */
const OF_ANSWER: CarriedMembers = { state: true, replies: { '*': { data: true } } };
const OF_REPLY: CarriedMembers = { data: true };

/** Reads `{replies?, state?}`. `undefined`: not JSON. Ambiguous JSON (such as a repeated key) throws `AnswerError`. */
export function readAnswerJson(text: string): unknown {
  return read(text, OF_ANSWER);
}

/** The same for `{text?, data?}`. */
export function readReplyJson(text: string): unknown {
  return read(text, OF_REPLY);
}

/**
 * The same for the `{text}` of a delta. A surrogate pair may be split over two deltas, so half of one is checked for in
 * the joined text.
 */
export function readDelta(text: string): unknown {
  const answer = readJson(text, {});
  if (answer.ok || answer.fault?.field !== 'text') return read(text, {});
  const delta = JSON.parse(text) as { readonly text?: unknown };
  return typeof delta.text === 'string' && !delta.text.isWellFormed() ? delta : read(text, {});
}

function read(text: string, carried: CarriedMembers): unknown {
  const answer = readJson(text, carried);
  if (answer.ok) return answer.value;
  if (answer.fault === undefined) return undefined;
  const { field, found, wanted } = answer.fault;
  throw new AnswerError(`${field === '' ? '' : `${field}: `}${found} (wanted ${wanted})`);
}
