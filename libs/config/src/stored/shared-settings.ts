import { isGroup, NAMED_GROUPS } from '../loading/setting-places.js';
import type { SettingsInput } from '../settings.js';

/**
 * What one installation acts on as one, whichever process acts: its agents, how their messages wait, and its guard. It stands
 * in a bucket (`libs/settings-store`). These belong to a process, and are read where that process runs; each word for agents,
 * queueing or guard that is not among them is shared.
 */
const LOCAL_GROUPS = [
  ...(['http', 'dataDir', 'nats', 'worker', 'gateway', 'drainMs', 'log'] as const),
  // What the streams were made with is compared with them at each start.
  ...(['namespace', 'shards', 'dedup', 'inbox', 'membership'] as const),
] as const satisfies readonly (keyof SettingsInput)[];

/** As people wrote it, in the words that they chose, without defaults. */
export type SharedSettings = Omit<SettingsInput, (typeof LOCAL_GROUPS)[number]>;

/** The shared part of written settings. A group without settings says nothing. */
export function sharedPart(values: Record<string, unknown>): SharedSettings {
  const isLocal = (name: string): boolean => (LOCAL_GROUPS as readonly string[]).includes(name);
  return Object.fromEntries(Object.entries(values).filter(([name, value]) => !isLocal(name) && !isEmpty(value)));
}

/** The part that a setting is said in: an agent, a platform, or a group of its own. Each is said or not said by itself. */
export function unitOf([first = '', second]: readonly string[]): string {
  return second !== undefined && NAMED_GROUPS.includes(first) ? `${first}.${second}` : first;
}

/**
 * The units of which these settings say something. One whose only settings are secrets is none: a process needs them to call
 * an agent, whoever decides how that agent runs.
 */
export function unitsOf(shared: SharedSettings, secrets: Iterable<string>): Set<string> {
  const units = new Set<string>();
  const withSecret = new Set([...secrets].map((field) => unitOf(field.split('.'))));
  for (const [name, value] of Object.entries(shared)) {
    if (!NAMED_GROUPS.includes(name)) units.add(name);
    else if (isGroup(value)) {
      for (const [entry, own] of Object.entries(value)) {
        const unit = unitOf([name, entry]);
        if (!isEmpty(own) || !withSecret.has(unit)) units.add(unit);
      }
    }
  }
  return units;
}

function isEmpty(value: unknown): boolean {
  return value === undefined || (isGroup(value) && Object.keys(value).length === 0);
}
