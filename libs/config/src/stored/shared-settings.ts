import { isGroup, NAMED_GROUPS } from '../loading/setting-places.js';
import type { SettingsInput } from '../settings.js';

/**
 * What an installation uses as a whole, in whichever process: its agents, how their messages wait, and its guard. They are
 * stored in a bucket (`libs/settings-store`). The groups below belong to one process, and are read where it runs; every other
 * setting for agents, queueing or guard is shared.
 */
const LOCAL_GROUPS = [
  ...(['http', 'dataDir', 'nats', 'worker', 'gateway', 'drainMs', 'log'] as const),
  // The streams were created with these, and each start compares them.
  ...(['namespace', 'shards', 'dedup', 'inbox', 'membership'] as const),
] as const satisfies readonly (keyof SettingsInput)[];

/** As people wrote it, with the names that they chose, without defaults. */
export type SharedSettings = Omit<SettingsInput, (typeof LOCAL_GROUPS)[number]>;

/** The shared part of written settings. A group without settings is left out. */
export function sharedPart(values: Record<string, unknown>): SharedSettings {
  const isLocal = (name: string): boolean => (LOCAL_GROUPS as readonly string[]).includes(name);
  return Object.fromEntries(Object.entries(values).filter(([name, value]) => !isLocal(name) && !isEmpty(value)));
}

/** The unit that a setting belongs to: an agent, a platform, or a group. Each unit is present or not on its own. */
export function unitOf([first = '', second]: readonly string[]): string {
  return second !== undefined && NAMED_GROUPS.includes(first) ? `${first}.${second}` : first;
}

/**
 * The units that these settings contain. A unit with only secrets does not count: a process needs them to call an agent,
 * whichever settings decide how that agent runs.
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
