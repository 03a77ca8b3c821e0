/**
 * Bad settings, as data. To add a case, add a row: what a process is started with, and what its message must name. Every row is
 * held to the same promise by test/e2e/bad-input-is-refused: the start is refused, and says why.
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
  env('a port that is too high', { LANEKEEPER_HTTP_PORT: '65536' }, /LANEKEEPER_HTTP_PORT/),
  env('a negative port', { LANEKEEPER_HTTP_PORT: '-1' }, /LANEKEEPER_HTTP_PORT/),
  env('a host for everybody', { LANEKEEPER_HTTP_HOST: '0.0.0.0' }, /LANEKEEPER_HTTP_HOST.*tokens/s),
  env('a host for everybody in IPv6', { LANEKEEPER_HTTP_HOST: '::' }, /LANEKEEPER_HTTP_HOST.*tokens/s),
  env('a host that is none', { LANEKEEPER_HTTP_HOST: 'a b' }, /LANEKEEPER_HTTP_HOST/),
  env('a broker that is no URL', { LANEKEEPER_NATS_URL: 'broker' }, /LANEKEEPER_NATS_URL/),
  env('a broker over HTTP', { LANEKEEPER_NATS_URL: 'http://127.0.0.1:4222' }, /LANEKEEPER_NATS_URL/),
  env('a namespace with a dot', { LANEKEEPER_NAMESPACE: 'a.b' }, /LANEKEEPER_NAMESPACE/),
  env('a namespace with a wildcard', { LANEKEEPER_NAMESPACE: '>' }, /LANEKEEPER_NAMESPACE/),
  env('a worker id with a slash', { LANEKEEPER_WORKER_ID: 'a/b' }, /LANEKEEPER_WORKER_ID/),
  env('a capacity of nothing', { LANEKEEPER_WORKER_CAPACITY: '0' }, /LANEKEEPER_WORKER_CAPACITY/),
  env('a capacity of a half', { LANEKEEPER_WORKER_CAPACITY: '1.5' }, /LANEKEEPER_WORKER_CAPACITY/),
  env(
    'a head table without an end',
    { LANEKEEPER_WORKER_HEAD_TABLE_BYTES: '1073741825' },
    /LANEKEEPER_WORKER_HEAD_TABLE_BYTES/,
  ),
  env('a drain time that is a word', { LANEKEEPER_DRAIN_MS: '30s' }, /LANEKEEPER_DRAIN_MS/),
  env('a log level that is none', { LANEKEEPER_LOG_LEVEL: 'loud' }, /LANEKEEPER_LOG_LEVEL/),
  env('a misspelt variable', { LANEKEEPER_HTTP_PROT: '7070' }, /did you mean LANEKEEPER_HTTP_PORT/),
  env(
    'a variable of a later version',
    { LANEKEEPER_REDIS_URL: 'redis://127.0.0.1' },
    /LANEKEEPER_REDIS_URL.*not in this/s,
  ),
  env('an agent that is no URL', { LANEKEEPER_AGENT_URL: '127.0.0.1:8080' }, /LANEKEEPER_AGENT_URL/),
  env('an agent of another scheme', { LANEKEEPER_AGENT_URL: 'ftp://127.0.0.1/' }, /LANEKEEPER_AGENT_URL/),
  env('a secret that is too short', { LANEKEEPER_AGENT_SECRET: 'hush' }, /LANEKEEPER_AGENT_SECRET/),
  env('a settings file that is not there', { LANEKEEPER_CONFIG: 'nowhere.yaml' }, /nowhere\.yaml/),
  yaml('broken YAML', 'http: [', /lanekeeper\.yaml/),
  yaml('a list', '- a\n- b\n', /lanekeeper\.yaml|settings/),
  yaml('bytes that are no text', new Uint8Array([0xff, 0xfe, 0x00]), /lanekeeper\.yaml|UTF-8/),
  yaml('a key twice', 'drainMs: 1\ndrainMs: 2\n', /drainMs|unique|lanekeeper\.yaml/),
  yaml(
    'a time in words',
    'agents: {main: {debounceMs: 3 seconds}}\n',
    /debounceMs: found "3 seconds", wanted whole mill/,
  ),
  yaml('an unknown key', 'htpp: {}\n', /did you mean http/),
  yaml('an unknown key below', 'http: {prot: 1}\n', /did you mean http\.port/),
  yaml('a setting of a later version', 'egress: {}\n', /egress.*not in this/s),
  yaml('a text for a number', 'drainMs: soon\n', /drainMs/),
  yaml('shards that are no power of two', 'shards: 100\n', /shards/),
  yaml('two replicas', 'nats: {replicas: 2}\n', /nats\.replicas/),
  yaml('an agent in capitals', 'agents: {Main: {}}\n', /agents\.Main/),
  yaml('an agent without a handler', 'agents: {research: {}}\n', /agents\.research/),
  yaml('an agent with a handler that is none', 'agents: {main: {handler: nobody}}\n', /agents\.main\.handler.*nobody/s),
  yaml(
    'an agent with a url and a handler',
    'agents: {main: {handler: echo, url: "http://127.0.0.1:1/"}}\n',
    /agents\.main\.url/,
  ),
  yaml('an agent with two timeouts', 'agents: {main: {sessionTimeout: 1, turnTimeoutMs: 1000}}\n', /sessionTimeout/),
  yaml('an agent with no attempt', 'agents: {main: {maxAttempts: 0}}\n', /agents\.main\.maxAttempts/),
  yaml('an agent with a negative timeout', 'agents: {main: {turnTimeoutMs: -5}}\n', /agents\.main\.turnTimeoutMs/),
  yaml(
    'a strategy of a later version',
    'agents: {main: {strategy: steer}}\n',
    /agents\.main\.strategy.*later version/s,
  ),
  yaml('a window where none is', 'concurrency: {strategy: fifo, debounceMs: 5}\n', /concurrency\.debounceMs.*fifo/s),
  yaml('a lock that is forced', 'onLockConflict: force\n', /onLockConflict.*two turns/s),
  yaml('two mistakes, both told', 'drainMs: -1\nshards: 3\n', /shards.*drainMs/s),
  { title: 'a command that is none', args: ['upp'], names: /upp/ },
  { title: 'an option that is none', args: ['up', '--fast'], names: /--fast/ },
  { title: 'a role without a broker', args: ['worker'], names: /LANEKEEPER_NATS_URL/ },
];
