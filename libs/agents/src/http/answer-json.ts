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

function read(text: string, carried: CarriedMembers): unknown {
  const answer = readJson(text, carried);
  if (answer.ok) return answer.value;
  if (answer.fault === undefined) return undefined;
  const { field, found, wanted } = answer.fault;
  throw new AnswerError(`${field === '' ? '' : `${field}: `}${found} (wanted ${wanted})`);
}
