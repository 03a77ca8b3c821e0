import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { LanekeeperError, type InputProblem } from '#contracts';
import { fingerprintOf, withoutSecrets } from './stored-secrets.js';
import { dotted } from '../loading/setting-places.js';
import { checkLayer } from '../loading/settings-layer.js';
import { checkRules } from '../settings-rules.js';
import { SettingsError } from '../settings-error.js';
import { settingsSchema, type CheckedSettings } from '../settings.js';
import type { SharedSettings } from './shared-settings.js';

/**
 * What an installation's bucket contains: its shared settings as people wrote them, without secrets. Defaults are left out:
 * each version of the program has its own, so a field that was not written follows the defaults of the program.
 *
 * `v` is the format of the document, not a version of its content; that is the revision of the bucket's key.
 */
const document = z.looseObject({
  v: z.literal(1),
  settings: z.record(z.string(), z.unknown()),
  /** Hashes, by the field that has the secret. */
  secrets: z.record(z.string(), z.string().regex(/^[0-9a-f]{32}$/)),
  salt: z.string().min(16).max(128),
  /** The person or program that stored it, and when; for people. */
  by: z.string().max(256),
  at: z.string().max(64),
});

export interface SettingsDocument {
  readonly v: 1;
  readonly settings: SharedSettings;
  readonly secrets: Readonly<Record<string, string>>;
  readonly salt: string;
  readonly by: string;
  readonly at: string;
}

/** Below the broker's 1 MiB for a message, with room for the rest of the message. */
const MAX_DOCUMENT_BYTES = 512 * 1024;

export interface Authorship {
  readonly by: string;
  readonly at: string;
  /** Salt of the former document: then hashes of the two documents can be compared. */
  readonly salt?: string | undefined;
}

export async function makeDocument(
  shared: SharedSettings,
  { by, at, salt = randomBytes(16).toString('base64url') }: Authorship,
): Promise<SettingsDocument> {
  const { open, secrets } = withoutSecrets(shared);
  const hashes: [string, string][] = [];
  for (const [field, value] of secrets) hashes.push([field, await fingerprintOf(value, field, salt)]);
  return { v: 1, settings: open, secrets: Object.fromEntries(hashes), salt, by: by.slice(0, 256), at };
}

export function writeDocument(made: SettingsDocument): string {
  const text = JSON.stringify(made);
  const bytes = Buffer.byteLength(text);
  if (bytes <= MAX_DOCUMENT_BYTES) return text;
  throw new LanekeeperError(
    'settings_too_large',
    `the shared settings (agents, queueing, guard): found ${bytes} bytes, wanted at most ${MAX_DOCUMENT_BYTES}; shorten them, ` +
      'e.g. say in agents.defaults what many agents have',
  );
}

/** The stored document and its format; a program must not overwrite the document of a later version. */
export type ReadDocument =
  | { readonly kind: 'readable'; readonly document: SettingsDocument }
  | { readonly kind: 'newer' }
  | { readonly kind: 'damaged' };

export function readDocument(text: string): ReadDocument {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { kind: 'damaged' };
  }
  const read = document.safeParse(value);
  if (read.success) return { kind: 'readable', document: read.data as SettingsDocument };
  const shape = (value as { readonly v?: unknown } | null)?.v;
  return { kind: typeof shape === 'number' && shape > 1 ? 'newer' : 'damaged' };
}

/** The document of a version, or an error that says what to do. */
export function documentOf(text: string, version: number): SettingsDocument {
  const read = readDocument(text);
  if (read.kind === 'readable') return read.document;
  const place = `the installation's settings, version ${version}`;
  throw new LanekeeperError(
    'settings_unreadable',
    read.kind === 'newer'
      ? `${place}: found a document of a later version of lanekeeper, wanted shape 1; run that version here too`
      : `${place}: found a damaged document, wanted one that lanekeeper wrote; put them there again with ` +
          '`lanekeeper settings push <file>`',
  );
}

/** The same checks as for a settings file. Throws a `SettingsError` with every problem. */
export function checkShared(shared: SharedSettings, version: number): CheckedSettings {
  const remedy = `correct it, and put it there with \`lanekeeper settings push\` (it stands in version ${version})`;
  const { problems, values } = checkLayer({ values: shared, nameOf: dotted, remedy });
  const settings = settingsSchema.parse(values);
  const broken = checkRules(settings).map(({ path, ...rest }): InputProblem => ({ field: dotted(path), ...rest }));
  const all = [...problems, ...broken];
  if (all.length === 0) return settings;
  // They were valid for the program that stored them, which is older or newer than this one.
  throw new SettingsError(
    all,
    `this version of lanekeeper cannot act on the installation's settings, version ${version}; run the one that put them ` +
      'there, or put others there with `lanekeeper settings push`',
  );
}
