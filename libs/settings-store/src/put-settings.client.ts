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
  /** `differences`: fields that differ from the version before. Empty when nothing changed. */
  | { readonly kind: 'stands'; readonly version: number; readonly differences: readonly SettingDifference[] }
  /** Another process wrote at the same time. Nothing was changed. */
  | { readonly kind: 'conflict' };

export interface PutAs {
  /** The stored settings, if they can be read. */
  readonly before: SettingsDocument | undefined;
  /** The command that stored them, for operators. */
  readonly command: string;
  /** Keep the secrets of agents that these settings lack: the new settings come from a place that has no secrets. */
  readonly keepsSecrets?: boolean;
}

/** Stores the settings as the next version, unless nothing changed. */
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

/** The document for these settings, comparable with the stored one. */
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
