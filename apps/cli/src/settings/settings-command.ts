import { InvalidArgumentError, type Command } from 'commander';
import { saysSomething, settingDifferences, type Settings } from '#config';
import { LanekeeperError } from '#contracts';
import {
  documentFor,
  putSettings,
  readReplaceable,
  readStored,
  type SettingsStore,
  type StoredSettings,
} from '#settings-store';
import { differenceTable, settingsFile, settingsJson } from './settings-report.js';

/** The broker side of the command; see `open-settings.client`. */
export interface OpenedSettings {
  /** The settings of the file and the environment variables. */
  readonly settings: Settings;
  readonly store: Pick<SettingsStore, 'read' | 'write'>;
  close(): Promise<void>;
}

/** `makes`: a missing bucket is made. */
export type OpenSettings = (file: string | undefined, makes: boolean) => Promise<OpenedSettings>;

/** `lanekeeper settings`: the settings that all processes of an installation use. */
export function addSettingsCommand(program: Command, open: OpenSettings, print: (text: string) => void): void {
  const settings = program
    .command('settings')
    .description('agents, queueing and guard: the settings that all processes of the installation use');
  settings
    .command('show')
    .description('print the current settings, as a file that can be edited and pushed')
    .option('--json', 'as JSON, with the hashes of secrets')
    .action(async ({ json }: { json?: boolean }) => {
      await using(open(undefined, false), async ({ store }) => show(await store.read(), json === true, print));
    });
  settings
    .command('diff')
    .argument('[file]', 'a settings file - default: LANEKEEPER_CONFIG, else lanekeeper.yaml of this folder')
    .description('what `push` would change; exit code 1 = something, 0 = nothing, 2 = the comparison failed')
    .action(async (file: string | undefined) => {
      process.exitCode = 2;
      await using(open(file, false), async (opened) => {
        process.exitCode = (await diff(opened, print)) ? 0 : 1;
      });
    });
  settings
    .command('push')
    .argument('[file]', 'a settings file - default: LANEKEEPER_CONFIG, else lanekeeper.yaml of this folder')
    .description('store the file as the settings of the installation; processes read them when they start')
    .option('--expect <version>', 'only if this is still the current version (0 = none)', toVersion)
    .option(
      '--drop-secrets',
      'agents whose secret this machine does not know need none from now on - default: they keep theirs',
    )
    .option('--force', 'also replace settings that a later version of lanekeeper wrote')
    .action(async (file: string | undefined, options: PushOptions) => {
      await using(open(file, true), (opened) => push(opened, options, print));
    });
}

async function using(opening: Promise<OpenedSettings>, act: (opened: OpenedSettings) => Promise<void>): Promise<void> {
  const opened = await opening;
  try {
    await act(opened);
  } finally {
    await opened.close();
  }
}

async function show(stored: StoredSettings, json: boolean, print: (text: string) => void): Promise<void> {
  const document = readStored(stored);
  const { version } = stored;
  if (document !== undefined) return print(json ? settingsJson(document, version) : settingsFile(document, version));
  print(json ? '{"version": 0}' : 'no settings yet: no `lanekeeper up` and no `lanekeeper settings push` so far');
}

/** Resolves with whether they are the same. */
async function diff(opened: OpenedSettings, print: (text: string) => void): Promise<boolean> {
  expectSettings(opened);
  const { settings, store } = opened;
  const stored = await store.read();
  const standing = readStored(stored);
  const told = await documentFor(settings, { before: standing, command: 'diff', keepsSecrets: true });
  const differences = settingDifferences(standing, told);
  const isSame = standing !== undefined && differences.length === 0;
  print(
    isSame
      ? `no differences: version ${stored.version} says the same`
      : differenceTable(differences, nameOf(stored), 'this file'),
  );
  return isSame;
}

interface PushOptions {
  readonly expect?: number;
  readonly force?: boolean;
  readonly dropSecrets?: boolean;
}

async function push(
  opened: OpenedSettings,
  { expect, force, dropSecrets }: PushOptions,
  print: (text: string) => void,
): Promise<void> {
  expectSettings(opened);
  const { settings, store } = opened;
  const standing = await store.read();
  if (expect !== undefined && standing.version !== expect) throw notExpected(standing.version, expect);
  const before = readReplaceable(standing, force);
  const keepsSecrets = dropSecrets !== true;
  const command = 'lanekeeper settings push';
  const outcome = await putSettings(store, settings, { before, standing, command, keepsSecrets });
  if (outcome.kind === 'conflict') throw notExpected((await store.read()).version, standing.version);
  const { version, differences } = outcome;
  if (before !== undefined && differences.length === 0)
    return print(`nothing changed: version ${version} says the same`);
  if (differences.length > 0) print(differenceTable(differences, nameOf(standing), `version ${version}`));
  print(`version ${version} stands there now; a process takes it when it starts`);
}

/** A push of nothing would take every agent of the installation away. */
function expectSettings({ settings }: OpenedSettings): void {
  if (saysSomething(settings.shared)) return;
  throw new LanekeeperError(
    'no_settings',
    'the settings file: found nothing of agents, queueing or guard, wanted what the installation is to act on; name the ' +
      'file, e.g. `lanekeeper settings push ./lanekeeper.yaml` (to have the built-in agents alone, name `agents: {main: {}}`)',
  );
}

function notExpected(found: number, wanted: number): LanekeeperError {
  return new LanekeeperError(
    'settings_changed',
    `the installation's settings: found version ${found}, wanted ${wanted}: another push or \`lanekeeper up\` came in between. ` +
      'Nothing was changed; look at `lanekeeper settings diff`, and push again',
  );
}

function nameOf({ version }: StoredSettings): string {
  return version === 0 ? 'none yet' : `version ${version}`;
}

function toVersion(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('wanted a version, a whole number from 0');
}
