/** Summary of the messages that did not fit into a full queue with the policy `summarize`. */
export interface TurnSummary {
  /** Number of summarized messages. */
  readonly count: number;
  /** One line per text, for the newest of them. */
  readonly lines: readonly string[];
}

const MAX_LINES = 50;
const MAX_LINE_CHARS = 160;

export function summarize(messages: readonly { readonly text?: string }[]): TurnSummary {
  // Keep the newest lines. `count` shows that there were more.
  const lines = messages.flatMap(({ text }) => toLine(text)).slice(-MAX_LINES);
  return { count: messages.length, lines };
}

/** No line for a message without text. */
function toLine(text = ''): string[] {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  if (line === '') return [];
  const chars = Array.from(line.slice(0, 2 * MAX_LINE_CHARS + 2));
  return [chars.length <= MAX_LINE_CHARS ? line : `${chars.slice(0, MAX_LINE_CHARS - 1).join('')}…`];
}
