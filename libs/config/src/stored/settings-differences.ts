import { isGroup } from '../loading/setting-places.js';
import type { SettingsDocument } from './settings-document.js';
import { secretPlace } from './stored-secrets.js';
import { unitOf } from './shared-settings.js';

/** A field that two documents have differently, as people read it: of a secret a few digits of its hash, and nothing of it. */
export interface SettingDifference {
  /** Path of the field, e.g. `agents.main.url`. */
  readonly field: string;
  /** The agent, platform or group that it belongs to. */
  readonly unit: string;
  readonly isSecret: boolean;
  /** `unset` where one has no such field. */
  readonly before: string;
  readonly after: string;
}

const UNSET = 'unset';
const LONGEST_SHOWN = 120;
const HASH_DIGITS = 8;

/** What is compared of a document. */
type Compared = Pick<SettingsDocument, 'settings' | 'secrets'>;

const NOTHING: Compared = { settings: {}, secrets: {} };

/** Every field that is not the same in both, in the order of their paths. Hashes compare only under one salt. */
export function settingDifferences(before: Compared = NOTHING, after: Compared = NOTHING): SettingDifference[] {
  const [old, now] = [fieldsOf(before), fieldsOf(after)];
  const fields = [...new Set([...old.keys(), ...now.keys()])].toSorted();
  return fields.flatMap((field) => {
    const [one, other] = [old.get(field), now.get(field)];
    if (one?.text === other?.text) return [];
    // An agent that one only names, and of which more is said: that is listed field by field.
    const isName = one?.isName === true || other?.isName === true;
    if (isName && (hasMore(now, field) || hasMore(old, field))) return [];
    const { unit = '', isSecret = false } = one ?? other ?? {};
    return [{ field, unit, isSecret, before: one?.shown ?? UNSET, after: other?.shown ?? UNSET }];
  });
}

interface Field {
  readonly unit: string;
  readonly isSecret: boolean;
  /** It stands for a group without settings: its name is all that is said. */
  readonly isName?: boolean;
  /** To compare by. */
  readonly text: string;
  readonly shown: string;
}

function fieldsOf({ settings, secrets }: Compared): Map<string, Field> {
  const fields = new Map<string, Field>();
  collect(settings, [], fields);
  for (const [place, hash] of Object.entries(secrets)) {
    const field = secretPlace(place).setting === 'url' ? `${place} (credentials)` : place;
    fields.set(field, { unit: unitOf(place.split('.')), isSecret: true, text: hash, shown: shownHash(hash) });
  }
  return fields;
}

function collect(value: unknown, path: readonly string[], into: Map<string, Field>): void {
  if (isGroup(value) && (path.length === 0 || Object.keys(value).length > 0)) {
    for (const [key, inner] of Object.entries(value)) collect(inner, [...path, key], into);
    return;
  }
  const text = JSON.stringify(value);
  const shown = text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN - 1)}…` : text;
  into.set(path.join('.'), { unit: unitOf(path), isSecret: false, isName: isGroup(value), text, shown });
}

function hasMore(fields: ReadonlyMap<string, Field>, name: string): boolean {
  return [...fields.keys()].some((field) => field.startsWith(`${name}.`));
}

function shownHash(hash: string): string {
  return `hash ${hash.slice(0, HASH_DIGITS)}`;
}
