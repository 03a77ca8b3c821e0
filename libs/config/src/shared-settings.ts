import { isGroup } from './settings-layer.js';
import type { SettingsInput } from './settings.js';

/**
 * What one installation acts on as one, whichever process acts: its agents, how their messages wait, and its guard. It stands
 * in a bucket (`libs/settings-store`). Everything else belongs to a process, and is read where that process runs.
 */
const SHARED_GROUPS = [
  'agents',
  'channels',
  'concurrency',
  'lockScope',
  'onLockConflict',
  'agent',
  'sessions',
  'guard',
] as const satisfies readonly (keyof SettingsInput)[];

/** As people wrote it, in the words that they chose, without defaults. */
export type SharedSettings = Pick<SettingsInput, (typeof SHARED_GROUPS)[number]>;

/** Groups whose entries have names: each entry is said or not said by itself. */
const NAMED_GROUPS: readonly string[] = ['agents', 'channels'];

/** The shared part of written settings. A group without settings says nothing. */
export function sharedPart(values: Record<string, unknown>): SharedSettings {
  const said = SHARED_GROUPS.flatMap((name) => (isEmpty(values[name]) ? [] : [[name, values[name]] as const]));
  return Object.fromEntries(said);
}

/** The part that a setting is said in: an agent, a platform, or a group of its own. */
export function unitOf([first = '', second]: readonly string[]): string {
  return second !== undefined && NAMED_GROUPS.includes(first) ? `${first}.${second}` : first;
}

/**
 * The units of which these settings say something. One whose only settings are secrets is none: a process needs them to call
 * an agent, whoever decides how that agent runs.
 */
export function unitsOf(shared: SharedSettings, secrets: Iterable<string>): Set<string> {
  const units = new Set<string>();
  const secretPlaces = new Set(secrets);
  for (const [name, value] of Object.entries(shared)) {
    if (!NAMED_GROUPS.includes(name)) units.add(name);
    else if (isGroup(value)) {
      for (const [entry, own] of Object.entries(value)) {
        const unit = unitOf([name, entry]);
        if (!isEmpty(own) || !secretPlaces.has(`${unit}.secret`)) units.add(unit);
      }
    }
  }
  return units;
}

function isEmpty(value: unknown): boolean {
  return value === undefined || (isGroup(value) && Object.keys(value).length === 0);
}
