import { isGroup } from '../loading/setting-places.js';
import type { SettingsDocument } from './settings-document.js';
import { secretPlace } from './stored-secrets.js';
import { unitOf } from './shared-settings.js';

/** A field that differs between two documents, as people read it; a secret appears as a few digits of its hash. */
export interface SettingDifference {
  /** Path of the field, e.g. `agents.main.url`. */
  readonly field: string;
  /** The agent, platform or group that it belongs to. */
  readonly unit: string;
  readonly isSecret: boolean;
  /** `unset` when that document has no such field. */
  readonly before: string;
  readonly after: string;
}

const UNSET = 'unset';
const LONGEST_SHOWN = 120;
const HASH_DIGITS = 8;

/** The compared part of a document. */
type Compared = Pick<SettingsDocument, 'settings' | 'secrets'>;

const NOTHING: Compared = { settings: {}, secrets: {} };

/** Every field that differs, in the order of the paths. Hashes can be compared only with the same salt. */
export function settingDifferences(before: Compared = NOTHING, after: Compared = NOTHING): SettingDifference[] {
  const [old, now] = [fieldsOf(before), fieldsOf(after)];
  const fields = [...new Set([...old.keys(), ...now.keys()])].toSorted();
  return fields.flatMap((field) => {
    const [one, other] = [old.get(field), now.get(field)];
    if (one?.text === other?.text) return [];
    // One document only names an agent, the other has settings for it: these are listed field by field.
    const isName = one?.isName === true || other?.isName === true;
    if (isName && (hasMore(now, field) || hasMore(old, field))) return [];
    const { unit = '', isSecret = false } = one ?? other ?? {};
    return [{ field, unit, isSecret, before: one?.shown ?? UNSET, after: other?.shown ?? UNSET }];
  });
}

interface Field {
  readonly unit: string;
  readonly isSecret: boolean;
  /** It stands for a group without settings, of which only the name is known. */
  readonly isName?: boolean;
  /** For the comparison. */
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
