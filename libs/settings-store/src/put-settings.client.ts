import { hostname } from 'node:os';
import {
  makeDocument,
  settingDifferences,
  type SettingDifference,
  type Settings,
  type SettingsDocument,
} from '#config';
import type { SettingsStore, StoredSettings } from './settings-store.client.js';

export type PutOutcome =
  /** `differences`: what is other than before; none when the version stood there as it is. */
  | { readonly kind: 'stands'; readonly version: number; readonly differences: readonly SettingDifference[] }
  /** Another process wrote in between: nothing was changed. */
  | { readonly kind: 'conflict' };

export interface PutAs {
  /** What stands there, if it can be read. */
  readonly before: SettingsDocument | undefined;
  /** For people who ask who put it there. */
  readonly command: string;
  /** Agents keep the secrets that these settings do not have: they come from where no secrets are known. */
  readonly keepsSecrets?: boolean;
}

/** Makes what a process was told the next version of the installation's settings, unless they are the same. */
export async function putSettings(
  store: Pick<SettingsStore, 'write'>,
  settings: Pick<Settings, 'shared'>,
  { standing, ...as }: PutAs & { readonly standing: StoredSettings },
): Promise<PutOutcome> {
  const { before } = as;
  const document = await documentFor(settings, as);
  const differences = settingDifferences(before, document);
  if (before !== undefined && differences.length === 0)
    return { kind: 'stands', version: standing.version, differences };
  const outcome = await store.write(document, standing.revision);
  return outcome.kind === 'conflict' ? outcome : { kind: 'stands', version: outcome.version, differences };
}

/** The document that these settings make, comparable with the one that stands there. */
export async function documentFor(
  { shared }: Pick<Settings, 'shared'>,
  { before, command, keepsSecrets = false }: PutAs,
): Promise<SettingsDocument> {
  const by = `${command} on ${hostname()}`;
  const made = await makeDocument(shared, { by, at: new Date().toISOString(), salt: before?.salt });
  if (!keepsSecrets || before === undefined) return made;
  const kept = Object.entries(before.secrets).filter(([field]) => stillHas(made, field));
  return { ...made, secrets: { ...Object.fromEntries(kept), ...made.secrets } };
}

function stillHas({ settings }: SettingsDocument, field: string): boolean {
  const [, name = ''] = field.split('.');
  return Object.hasOwn(settings.agents ?? {}, name);
}
