/** A mention as platforms write it: `@name`, `<@id>`, `<@!id>`, and what people put behind it. */
const MENTION = /^\s*(?:<@!?([^\s@<>]{1,64})>|@([^\s@<>,:]{1,64}))[,:]?(?=\s)/;
/** Telegram's commands in groups name the bot that they are for. A word that is longer than any command is none. */
const WORD = /^\s*([^\s@]{1,66})(?:@(\S{0,65}))?/;

/**
 * The first word of a text, in small letters, as far as it may be a command for us. `names`: of our bot; a mention of it may come
 * first, and what is for another bot is none. Absent = the names are not known, and any command counts.
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
