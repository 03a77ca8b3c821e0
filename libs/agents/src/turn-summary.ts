/** What a full queue of the policy `summarize` makes of the messages that are too much, the oldest first. */
export interface TurnSummary {
  /** How many messages it is of. */
  readonly count: number;
  /** One for each text, of the newest of them. */
  readonly lines: readonly string[];
}

const MAX_LINES = 50;
const MAX_LINE_CHARS = 160;

export function summarize(messages: readonly { readonly text?: string }[]): TurnSummary {
  // Of a long list the end is what the conversation has come to; `count` tells that it was longer.
  const lines = messages.flatMap(({ text }) => toLine(text)).slice(-MAX_LINES);
  return { count: messages.length, lines };
}

/** None for a message that is only data, or says nothing. */
function toLine(text = ''): string[] {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  if (line === '') return [];
  const chars = Array.from(line.slice(0, 2 * MAX_LINE_CHARS + 2));
  return [chars.length <= MAX_LINE_CHARS ? line : `${chars.slice(0, MAX_LINE_CHARS - 1).join('')}…`];
}
