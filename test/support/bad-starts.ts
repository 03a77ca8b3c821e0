/**
 * Bad starts: one row for each way in which a process learns what is wrong. The settings themselves are in the unit tables
 * (refused-settings.spec.ts, load-settings.spec.ts, settings-file.spec.ts): each row here costs a process. Every row is held
 * to the same promise by test/e2e/bad-input-is-refused: the start is refused, and says why.
 */

export interface BadStart {
  readonly title: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Content of the settings file, by its name. */
  readonly file?: { readonly name: string; readonly content: string | Uint8Array };
  readonly args?: readonly string[];
  /** Must stand in the message. */
  readonly names: RegExp;
}

const env = (title: string, variables: Record<string, string>, names: RegExp): BadStart => ({
  title,
  env: variables,
  names,
});
const yaml = (title: string, content: string | Uint8Array, names: RegExp): BadStart => ({
  title,
  file: { name: 'lanekeeper.yaml', content },
  names,
});

export const BAD_STARTS: readonly BadStart[] = [
  env('a port that is a word', { LANEKEEPER_HTTP_PORT: 'eighty' }, /LANEKEEPER_HTTP_PORT: found "eighty"/),
  env('a settings file that is not there', { LANEKEEPER_CONFIG: 'nowhere.yaml' }, /nowhere\.yaml/),
  yaml('bytes that are no text', new Uint8Array([0xff, 0xfe, 0x00]), /lanekeeper\.yaml|UTF-8/),
  yaml('two mistakes, both told', 'drainMs: -1\nshards: 3\n', /shards.*drainMs/s),
  // Which handlers there are, only the worker knows.
  yaml('an agent without a handler', 'agents: {research: {}}\n', /agents\.research/),
  yaml('an agent with a handler that is none', 'agents: {main: {handler: none}}\n', /agents\.main\.handler.*none/s),
  { title: 'an option that is none', args: ['up', '--fast'], names: /--fast/ },
  { title: 'a role without a broker', args: ['worker'], names: /LANEKEEPER_NATS_URL/ },
];
