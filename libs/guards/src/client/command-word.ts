/** A mention as platforms write it: `@name`, `<@id>`, `<@!id>`, and the punctuation that people put after it. */
const MENTION = /^\s*(?:<@!?([^\s@<>]{1,64})>|@([^\s@<>,:]{1,64}))[,:]?(?=\s)/;
/** Telegram's commands in groups name the bot that they are for. A word longer than any command does not match. */
const WORD = /^\s*([^\s@]{1,66})(?:@(\S{0,65}))?/;

/**
 * The first word of a text, in lower case, if it may be a command for our bot. `names`: the names of our bot; a mention of it
 * may come first, and a command for another bot is undefined. Absent = the names are not known, and any command counts.
 */
export function commandWord(text: string, names: readonly string[] | undefined): string | undefined {
  const ours = names?.map((name) => name.replace(/^@/, '').toLowerCase()) ?? [];
  const isOurs = (name: string | undefined): boolean => name !== undefined && ours.includes(name.toLowerCase());
  const mention = MENTION.exec(text);
  const rest = mention !== null && isOurs(mention[1] ?? mention[2]) ? text.slice(mention[0].length) : text;
  const [, word, bot] = WORD.exec(rest) ?? [];
  const isForAnother = names !== undefined && bot !== undefined && !isOurs(bot);
  return isForAnother ? undefined : word?.toLowerCase();
}
