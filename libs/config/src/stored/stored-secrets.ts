import { promisify } from 'node:util';
import { scrypt } from 'node:crypto';
import { credentialsOf, withCredentials } from '../agents/agent-url.js';
import { isGroup } from '../loading/setting-places.js';
import { unitsOf, type SharedSettings } from './shared-settings.js';

/**
 * The parts of an agent's settings that must not be readable on the broker: its `secret`, the credentials in its `url`, and the
 * texts of its `headers`. Otherwise everyone who may read the broker's buckets could call the agent in our name. The bucket has
 * a slow, salted hash of each, enough to notice that two processes have different ones; the value stays in the file or the
 * environment of each process that calls the agent. A header that only says where its value is contains no secret: each process
 * reads the value there.
 */
export interface OpenSettings {
  /** Without secrets; a `url` without its credentials. */
  readonly open: SharedSettings;
  /** By the field that has it: `agents.<name>.secret`, `agents.<name>.url`, `agents.<name>.headers.<header>`. */
  readonly secrets: ReadonlyMap<string, string>;
}

const KEY_BYTES = 16;
const derive = promisify<string, string, number, Buffer>(scrypt);

/** A hash that takes about 40 ms: so short passwords are not found by trying them all. */
export async function fingerprintOf(value: string, field: string, salt: string): Promise<string> {
  return (await derive(value, `${salt} ${field}`, KEY_BYTES)).toString('hex');
}

/** The agent and the setting that a secret belongs to. The name of a header may contain dots. */
export function secretPlace(field: string): { readonly agent: string; readonly setting: string; readonly key: string } {
  const [, agent = '', setting = '', ...rest] = field.split('.');
  return { agent, setting, key: rest.join('.') };
}

export function withoutSecrets(shared: SharedSettings): OpenSettings {
  const secrets = new Map<string, string>();
  const open = structuredClone(shared);
  for (const [name, agent] of Object.entries((open.agents ?? {}) as Record<string, unknown>)) {
    if (!isGroup(agent)) continue;
    const { secret, url, headers } = agent;
    if (typeof secret === 'string') {
      secrets.set(`agents.${name}.secret`, secret);
      delete agent['secret'];
    }
    const credentials = typeof url === 'string' ? credentialsOf(url) : undefined;
    if (typeof url === 'string' && credentials !== undefined) {
      secrets.set(`agents.${name}.url`, credentials);
      agent['url'] = withCredentials(url, '');
    }
    if (!isGroup(headers)) continue;
    for (const [header, value] of Object.entries(headers)) {
      if (typeof value !== 'string') continue;
      secrets.set(`agents.${name}.headers.${header}`, value);
      delete headers[header];
    }
    if (Object.keys(headers).length === 0) delete agent['headers'];
  }
  return { open, secrets };
}

/** Puts each value where its field says, for agents that exist. */
export function withSecrets(open: SharedSettings, secrets: ReadonlyMap<string, string>): SharedSettings {
  const whole = structuredClone(open);
  const agents: Record<string, unknown> = whole.agents ?? {};
  for (const [field, value] of secrets) {
    const { agent: name, setting, key } = secretPlace(field);
    const agent = Object.hasOwn(agents, name) ? agents[name] : undefined;
    if (!isGroup(agent)) continue;
    if (setting === 'secret') agent['secret'] = value;
    else if (setting === 'headers') agent['headers'] = { ...(agent['headers'] as object | undefined), [key]: value };
    else if (typeof agent['url'] === 'string') agent['url'] = withCredentials(agent['url'], value);
  }
  return whole;
}

/** Whether any setting concerns more than the process that has it. */
export function saysSomething(shared: SharedSettings): boolean {
  const { open, secrets } = withoutSecrets(shared);
  return unitsOf(open, secrets.keys()).size > 0;
}
