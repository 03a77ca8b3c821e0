import type { z } from 'zod';
import { AGENT_NAME_PATTERN, closestName, inOurWords, type InputProblem } from '#contracts';
import { isLaterSetting, ownWordFor } from './later-settings.js';
import { PLATFORM_PATTERN } from '../queueing/queue-fields.js';
import { dotted, isGroup, type SettingPath } from './setting-places.js';
import { describeFound } from './setting-values.js';
import { knownKeys, settingsSchema } from '../settings.js';

/** One source of settings: the file, the environment or the options of a command. */
export interface SettingsLayer {
  readonly values: unknown;
  /** How a problem names the setting at a path, e.g. by its variable. */
  readonly nameOf: (path: SettingPath) => string;
  /** How the reader of a problem can fix it. */
  readonly remedy: string;
}

export interface CheckedLayer {
  readonly problems: InputProblem[];
  /** The values without everything that was refused; always valid by the schema. */
  readonly values: Record<string, unknown>;
}

const UNKNOWN_KEYS = 'unrecognized_keys';

/** A layer is checked on its own, so that a bad value is reported even when a higher layer overrides it. */
export function checkLayer(layer: SettingsLayer): CheckedLayer {
  const values: unknown = structuredClone(layer.values);
  const issues = (
    settingsSchema.safeParse(values, { reportInput: true, error: inOurWords }).error?.issues ?? []
  ).flatMap(inGroup);
  const problems = new Map<string, InputProblem>();
  for (const issue of issues) {
    for (const problem of toProblems(issue, layer)) {
      if (!problems.has(problem.field)) problems.set(problem.field, problem);
    }
  }
  if (!isGroup(values)) return { problems: [...problems.values()], values: {} };
  for (const issue of issues) {
    if (issue.code === UNKNOWN_KEYS) for (const key of issue.keys) remove(values, [...issue.path, key]);
    else remove(values, issue.path);
  }
  for (const path of namedGroups(values)) {
    // zod silently skips this one key of a record.
    const named = path.reduce<unknown>((value, key) => (isGroup(value) ? value[String(key)] : undefined), values);
    if (isGroup(named) && Object.hasOwn(named, '__proto__')) {
      const problem = nameProblem([...path, '__proto__'], layer);
      problems.set(problem.field, problem);
    }
  }
  return { problems: [...problems.values()], values };
}

/** Later layers win, setting by setting; `undefined` counts as unset. */
export function mergeLayers(layers: readonly Record<string, unknown>[]): Record<string, unknown> {
  const merged: Record<string, unknown> = {};
  for (const layer of layers) {
    for (const [key, value] of Object.entries(layer)) {
      if (value === undefined || key === '__proto__') continue;
      const before = Object.hasOwn(merged, key) ? merged[key] : undefined;
      merged[key] = isGroup(value) ? mergeLayers(isGroup(before) ? [before, value] : [value]) : value;
    }
  }
  return merged;
}

/** For a setting that is a word or a group: the problems inside the group, when it is one. */
function inGroup(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== 'invalid_union' || !isGroup(issue.input)) return [issue];
  const inside = issue.errors.find((issues) =>
    issues.some(({ code, path }) => code === UNKNOWN_KEYS || path.length > 0),
  );
  return inside?.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })) ?? [issue];
}

function toProblems(issue: z.core.$ZodIssue, layer: SettingsLayer): InputProblem[] {
  if (issue.code === UNKNOWN_KEYS) return issue.keys.map((key) => unknownKeyProblem(issue.path, key, layer));
  if (issue.code === 'invalid_key') return [nameProblem(issue.path, layer)];
  return [
    {
      field: layer.nameOf(issue.path),
      found: describeFound(issue.path, issue.input),
      wanted: issue.message,
      remedy: `${layer.remedy}, or leave it out for the default`,
    },
  ];
}

function unknownKeyProblem(path: SettingPath, key: string, layer: SettingsLayer): InputProblem {
  const field = layer.nameOf([...path, key]);
  if (isLaterSetting(path, key)) {
    return {
      field,
      found: 'a setting of a later version',
      wanted: 'none: not in this version yet',
      remedy: 'leave it out',
    };
  }
  const known = knownKeys(path);
  const remedy = meant(path, key, known) ?? 'leave it out';
  return { field, found: 'an unknown setting', wanted: `one of ${known.join(', ')}`, remedy };
}

function meant(path: SettingPath, key: string, known: readonly string[]): string | undefined {
  const ownWord = ownWordFor(key);
  if (ownWord !== undefined) return `did you mean ${ownWord}?`;
  const isForAll = path.length === 0 || path[0] === 'agent';
  // A setting that only agents have, written at the top: similar top-level names would be misleading.
  if (isForAll && knownKeys(['agents', 'defaults']).includes(key)) return `did you mean agents.defaults.${key}?`;
  const close = closestName(key, known);
  return close === undefined ? undefined : `did you mean ${dotted([...path, close])}?`;
}

/** Groups whose keys people choose. */
function namedGroups(values: Record<string, unknown>): SettingPath[] {
  const agents = isGroup(values['agents']) ? Object.keys(values['agents']) : [];
  return [
    ['agents'],
    ['channels'],
    ['messages', 'queue', 'byChannel'],
    ...agents.map((name) => ['agents', name, 'headers']),
  ];
}

function nameProblem(path: SettingPath, layer: SettingsLayer): InputProblem {
  const [pattern, what] = namesAt(path);
  const wanted = `${what} names that match ${pattern.source}`;
  return { field: layer.nameOf(path), found: 'another name', wanted, remedy: `rename the ${what}` };
}

function namesAt(path: SettingPath): [RegExp, string] {
  if (path[0] !== 'agents') return [PLATFORM_PATTERN, 'platform'];
  return path[2] === 'headers' ? [/^[A-Za-z0-9-]+$/, 'header'] : [AGENT_NAME_PATTERN, 'agent'];
}

function remove(values: Record<string, unknown>, path: SettingPath): void {
  const [key, ...rest] = path.map(String);
  if (key === undefined || !Object.hasOwn(values, key)) return;
  const value = values[key];
  if (rest.length > 0 && isGroup(value)) remove(value, rest);
  // A list is removed as a whole when one of its entries is refused.
  else if (rest.length === 0 || Array.isArray(value)) delete values[key];
}
