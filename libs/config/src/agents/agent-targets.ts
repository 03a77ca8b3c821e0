import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { describeValue, type InputProblem } from '#contracts';
import { isHeaderText, MAX_HEADER_VALUE_CHARS, type HeaderValue } from './agent-headers.js';
import type { AgentSettings } from './agent-settings.js';
import { splitCredentials } from './agent-url.js';
import type { Environment } from '../loading/environment.js';
import { SettingsError } from '../settings-error.js';

/** Where to call an agent, and the headers to add to our own. Contains secrets: made where agents are called, never shown. */
export interface AgentTarget {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface ReadTargetsOptions {
  readonly env?: Environment;
  /** Folder that relative paths start from - default: the working folder. */
  readonly cwd?: string;
}

/** The agents that are called over HTTP, by name. Throws one `SettingsError` with every value that cannot be read. */
export function readAgentTargets(
  agents: Readonly<Record<string, Pick<AgentSettings, 'url' | 'headers'>>>,
  { env = process.env, cwd = process.cwd() }: ReadTargetsOptions = {},
): ReadonlyMap<string, AgentTarget> {
  const targets = new Map<string, AgentTarget>();
  const problems: InputProblem[] = [];
  for (const [agent, { url, headers: written = {} }] of Object.entries(agents)) {
    if (url === undefined) continue;
    const { authorization, ...rest } = splitCredentials(url);
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    for (const [name, value] of Object.entries(written)) {
      const read = readValue(value, env, cwd);
      if (typeof read === 'string') headers[name.toLowerCase()] = read;
      else problems.push({ field: `agents.${agent}.headers.${name}`, ...read });
    }
    targets.set(agent, { ...rest, headers });
  }
  if (problems.length > 0) throw new SettingsError(problems);
  return targets;
}

type Unread = Omit<InputProblem, 'field'>;

const WANTED = `1 to ${MAX_HEADER_VALUE_CHARS} visible ASCII characters`;

function readValue(value: HeaderValue, env: Environment, cwd: string): string | Unread {
  if (typeof value === 'string') return value;
  const [source, text] =
    'env' in value ? [`variable ${value.env}`, env[value.env]] : readFile(resolve(cwd, value.file));
  if (typeof text === 'string' && isHeaderText(text)) return text;
  const found = typeof text === 'string' && text !== '' ? `${describeValue(text)}, or other characters,` : 'nothing';
  return { found: `${found} in ${source}`, wanted: WANTED, remedy: 'set it where this worker runs' };
}

/** Without the line break that editors and `echo` leave at the end. */
function readFile(path: string): [string, string | undefined] {
  try {
    // Checked before it is opened: opening a pipe would wait for a writer.
    const stats = statSync(path);
    if (!stats.isFile() || stats.size > MAX_HEADER_VALUE_CHARS + 2) return [`file ${path} (no short file)`, undefined];
    return [`file ${path}`, readFileSync(path, 'latin1').replace(/\r?\n$/, '')];
  } catch (error) {
    return [`file ${path} (${(error as NodeJS.ErrnoException).code ?? 'unreadable'})`, undefined];
  }
}
