import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { secretPlace, withSecrets, withoutSecrets } from './stored-secrets.js';
import { checkShared, makeDocument, type SettingsDocument } from './settings-document.js';
import { settingDifferences, type SettingDifference } from './settings-differences.js';
import { resolveAgents } from '../agents/resolve-agents.js';
import { settingsSchema, type CheckedSettings } from '../settings.js';
import type { Settings } from '../settled-settings.js';
import { unitsOf } from './shared-settings.js';

/** The settings that a process uses when its installation has stored settings: these, with the process' own secrets. */
export interface InstalledSettings {
  readonly settings: Settings;
  /** Differences to the process' own settings: `before` is its own value, `after` the one that it uses. */
  readonly otherwise: readonly SettingDifference[];
}

/** Placeholder for a secret that this process does not have. */
const LACKING = `lacking-in-this-process-${randomUUID()}`;

/**
 * The settings of the installation for one process: agents, queueing and guard from the document, everything else its own.
 * Throws a `SettingsError` when this version of the program cannot use them.
 */
export async function installedSettings(
  own: Settings,
  installed: SettingsDocument,
  version: number,
): Promise<InstalledSettings> {
  // Checked without secrets first, so that no report contains one.
  const theirs = checkShared(installed.settings, version);
  const { by, at, salt } = installed;
  const told = await makeDocument(own.shared, { by, at, salt });
  const secrets = secretsFor(own, told, installed);
  const checked = settingsSchema.parse(withSecrets(installed.settings, secrets));
  const agents = resolveAgents(checked);
  for (const [name, agent] of Object.entries(agents)) {
    const lacks = lackOf(name, agent, secrets);
    if (lacks !== undefined) (agents as Record<string, typeof agent>)[name] = { ...agent, secret: undefined, lacks };
  }
  const meansTheSame = comparison(settingsSchema.parse(told.settings), theirs);
  const settings = { ...own, agents, guard: checked.guard };
  return { settings, otherwise: otherwise(told, installed, meansTheSame) };
}

/** A value for each secret of the installation, and for those that only this process knows. */
function secretsFor(own: Settings, told: SettingsDocument, installed: SettingsDocument): Map<string, string> {
  const values = withoutSecrets(own.shared).secrets;
  const secrets = new Map<string, string>();
  for (const field of new Set([...Object.keys(installed.secrets), ...values.keys()])) {
    const value = values.get(field);
    if (value !== undefined && mayBeSent(field, told, installed)) secrets.set(field, value);
    else if (Object.hasOwn(installed.secrets, field))
      secrets.set(field, secretPlace(field).setting === 'url' ? `${LACKING}:` : LACKING);
  }
  return secrets;
}

/** A signature reveals nothing of its secret. Everything else is sent in clear: only to the address that it was set for. */
function mayBeSent(field: string, told: SettingsDocument, installed: SettingsDocument): boolean {
  const { agent, setting } = secretPlace(field);
  if (setting === 'secret') return true;
  const [here, there] = [told, installed].map(({ settings }) => originOf(settings.agents?.[agent]?.url));
  if (here !== undefined && here === there) return true;
  return told.secrets[field] === installed.secrets[field];
}

function originOf(url: string | undefined): string | undefined {
  return url === undefined ? undefined : new URL(url).origin;
}

/** The field whose secret this agent lacks. What runs an agent may come from the defaults. */
function lackOf(
  name: string,
  agent: Settings['agents'][string],
  secrets: ReadonlyMap<string, string>,
): string | undefined {
  if (agent.url === undefined || !JSON.stringify(agent).includes(LACKING)) return undefined;
  const lacking = [...secrets].filter(([, value]) => value.startsWith(LACKING)).map(([field]) => field);
  const from = (group: string): string | undefined => lacking.find((field) => secretPlace(field).agent === group);
  return from(name) ?? from('defaults');
}

/**
 * Differences to the process' own settings. Only settings that the process has are compared: a worker's file need not name
 * every agent. The same meaning in other words is not a difference.
 */
function otherwise(
  told: SettingsDocument,
  installed: SettingsDocument,
  meansTheSame: (unit: string) => boolean,
): readonly SettingDifference[] {
  const units = unitsOf(told.settings, Object.keys(told.secrets));
  return settingDifferences(told, installed).filter(({ unit, isSecret, before }) =>
    isSecret ? before !== 'unset' : units.has(unit) && !meansTheSame(unit),
  );
}

/** Whether a unit means the same in both: an agent is compared alone, a shared unit by all agents that both have. */
function comparison(here: CheckedSettings, there: CheckedSettings): (unit: string) => boolean {
  const [mine, theirs] = [resolveAgents(here), resolveAgents(there)];
  const isSame = (name: string): boolean => isDeepStrictEqual(mine[name], theirs[name]);
  return (unit) => {
    if (unit === 'guard') return isDeepStrictEqual(here.guard, there.guard);
    const [group, name = ''] = unit.split('.');
    if (group === 'agents' && name !== 'defaults') return isSame(name);
    return Object.keys(mine).every((agent) => theirs[agent] === undefined || isSame(agent));
  };
}
