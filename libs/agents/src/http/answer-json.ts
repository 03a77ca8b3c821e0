import { readJson, type CarriedMembers } from '#contracts';
import { AnswerError } from '../handler-answer.js';

/** What an agent says and keeps is only carried: digit for digit, as the text that it came as. */
const OF_ANSWER: CarriedMembers = { state: true, replies: { '*': { data: true } } };
const OF_REPLY: CarriedMembers = { data: true };

/** Reads `{replies?, state?}`. `undefined` = it is no JSON; what is JSON and means no one thing throws an `AnswerError`. */
export function readAnswerJson(text: string): unknown {
  return read(text, OF_ANSWER);
}

/** The same for `{text?, data?}`. */
export function readReplyJson(text: string): unknown {
  return read(text, OF_REPLY);
}

/** The same for the `{text}` of a delta. Two of them may share a character: half of one is looked for in their whole. */
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
