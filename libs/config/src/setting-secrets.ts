import { promisify } from 'node:util';
import { scrypt } from 'node:crypto';
import { isGroup } from './settings-layer.js';
import { unitsOf, type SharedSettings } from './shared-settings.js';

/**
 * Of an agent's settings, what must not lie readable at the broker: its `secret`, and the credentials in its `url`. Everyone who
 * may read the broker's buckets could sign requests with them. The bucket holds a slow, salted hash of each, enough to notice
 * that two processes have different ones; the value stays in the file or the environment of each process that calls the agent.
 */
export interface OpenSettings {
  /** Without secrets; a `url` without its credentials. */
  readonly open: SharedSettings;
  /** By the field that has it: `agents.<name>.secret`, `agents.<name>.url`. */
  readonly secrets: ReadonlyMap<string, string>;
}

const KEY_BYTES = 16;
const derive = promisify<string, string, number, Buffer>(scrypt);

/** A hash that takes some 40 ms to make: short passwords are not found by trying them all. */
export async function fingerprintOf(value: string, field: string, salt: string): Promise<string> {
  return (await derive(value, `${salt} ${field}`, KEY_BYTES)).toString('hex');
}

export function withoutSecrets(shared: SharedSettings): OpenSettings {
  const secrets = new Map<string, string>();
  const open = structuredClone(shared);
  for (const [name, agent] of Object.entries(open.agents ?? {})) {
    if (!isGroup(agent)) continue;
    const { secret, url } = agent;
    if (typeof secret === 'string') {
      secrets.set(`agents.${name}.secret`, secret);
      delete agent['secret'];
    }
    const credentials = credentialsOf(url);
    if (credentials === undefined) continue;
    secrets.set(`agents.${name}.url`, credentials);
    agent['url'] = withCredentials(String(url), '');
  }
  return { open, secrets };
}

/** Puts each value where its field says. */
export function withSecrets(open: SharedSettings, secrets: ReadonlyMap<string, string>): SharedSettings {
  const whole = structuredClone(open);
  for (const [name, agent] of Object.entries(whole.agents ?? {})) {
    if (!isGroup(agent)) continue;
    const secret = secrets.get(`agents.${name}.secret`);
    const credentials = secrets.get(`agents.${name}.url`);
    if (secret !== undefined) agent['secret'] = secret;
    if (credentials !== undefined && typeof agent['url'] === 'string') {
      agent['url'] = withCredentials(agent['url'], credentials);
    }
  }
  return whole;
}

/** Whether anything is said that concerns more than the process that it is said to. */
export function saysSomething(shared: SharedSettings): boolean {
  const { open, secrets } = withoutSecrets(shared);
  return unitsOf(open, secrets.keys()).size > 0;
}

/** `user:password` as they stand in a URL, or `undefined` when it has none. */
function credentialsOf(url: unknown): string | undefined {
  if (typeof url !== 'string' || !URL.canParse(url)) return undefined;
  const { username, password } = new URL(url);
  return username === '' && password === '' ? undefined : `${username}:${password}`;
}

function withCredentials(url: string, credentials: string): string {
  const changed = new URL(url);
  const colon = credentials.indexOf(':');
  changed.username = credentials.slice(0, Math.max(0, colon));
  changed.password = credentials.slice(colon + 1);
  return changed.href;
}
