import { isDeepStrictEqual } from 'node:util';
import { installedSettings, saysSomething, type SettingDifference, type Settings } from '#config';
import { LanekeeperError, systemClock, type Names } from '#contracts';
import { untilJetStreamAnswers, type BrokerConnection } from '#jetstream';
import type { Logger } from '#telemetry';
import { putSettings } from './put-settings.client.js';
import { readStored, SettingsStore, type StoredSettings } from './settings-store.client.js';
import { VersionWatch } from './version-watch.js';

export interface JoinInstallationOptions {
  readonly connection: BrokerConnection;
  readonly names: Names;
  /** What this process was told. */
  readonly settings: Settings;
  /** Which it is, e.g. `worker`; for people who ask who put the first version there. */
  readonly role: string;
  readonly log: Logger;
  readonly signal?: AbortSignal | undefined;
}

/** What a process acts on from its start to its end. */
export interface Installation {
  readonly settings: Settings;
  /** That of the installation's settings; 0 = there were none, and the process acts on its own. */
  readonly version: number;
  /** Of the installation, as it stands there now; a moment old at times. Rejects in an outage. */
  newestVersion(): Promise<number>;
  /** Resolves when the process started without settings, and the installation has got some that say otherwise. */
  readonly outdated: Promise<Error>;
  close(): void;
}

/** More in one start would hide everything else. */
const MOST_LINES = 50;

/**
 * Takes agents, queueing and guard from the installation. Where it has none yet, a process that was told of some puts them
 * there: of several that start at once the first wins, and the others act on that. One that was told nothing acts on the
 * defaults and writes nothing: it would decide for an installation of which it knows nothing.
 */
export async function joinInstallation(options: JoinInstallationOptions): Promise<Installation> {
  const { connection, names, settings: own, log, signal } = options;
  const store = new SettingsStore(connection, names, log);
  try {
    const stored = await untilJetStreamAnswers(() => firstVersion(store, options), { log, signal });
    const document = readStored(stored);
    const { version } = stored;
    const { settings, otherwise } =
      document === undefined ? { settings: own, otherwise: [] } : await installedSettings(own, document, version);
    tellOtherwise(otherwise, version, log);
    const outdated = Promise.withResolvers<Error>();
    const watch = new VersionWatch({
      version,
      clock: systemClock,
      glance: () => store.version(),
      read: async () => (await store.read()).version,
      onNewer: (newest) => {
        log.info({ settingsVersion: version, newest }, 'the installation has newer settings: a restart acts on them');
        if (version > 0) return;
        judgeFirst(store, own).then(
          (error) => error && outdated.resolve(error),
          (error: unknown) => log.warn({ error: String(error) }, 'cannot act on the settings of the installation'),
        );
      },
    });
    const stopsListening = [store.onWrite(() => watch.hint())];
    if (version === 0) {
      // A hint may have come before, or while the link was down; until then this process answers for an installation that has others.
      watch.hint();
      stopsListening.push(connection.onUp(() => watch.hint()));
    }
    return {
      ...{ settings, version, outdated: outdated.promise },
      newestVersion: () => store.version(),
      close: () => {
        for (const stop of stopsListening) stop();
        watch.close();
        store.close();
      },
    };
  } catch (error) {
    store.close();
    throw error;
  }
}

/** What stands there, after this process has put its own there if it is to. */
async function firstVersion(store: SettingsStore, options: JoinInstallationOptions): Promise<StoredSettings> {
  const { settings, role, log } = options;
  const standing = await store.read();
  if (standing.text !== undefined || !saysSomething(settings.shared)) return standing;
  const outcome = await putSettings(store, settings, { before: undefined, standing, command: role });
  if (outcome.kind === 'stands') {
    log.info(
      { settingsVersion: outcome.version },
      'the installation had no settings: those of this process stand there now',
    );
  }
  return store.read();
}

const OTHERWISE = 'told otherwise than the installation, whose settings count';
const OTHER_SECRET = 'has another secret than the installation: uses its own';

function tellOtherwise(otherwise: readonly SettingDifference[], version: number, log: Logger): void {
  for (const { field, isSecret, before, after } of otherwise.slice(0, MOST_LINES)) {
    const fields = { field, here: before, installation: after, settingsVersion: version };
    log.warn(fields, isSecret ? OTHER_SECRET : OTHERWISE);
  }
  if (otherwise.length <= MOST_LINES) return;
  log.warn(
    { more: otherwise.length - MOST_LINES },
    'told otherwise in more fields: `lanekeeper settings diff` lists them',
  );
}

/** An error when this process would run agents otherwise than the installation says. */
async function judgeFirst(store: SettingsStore, own: Settings): Promise<Error | undefined> {
  const stored = await store.read();
  const document = readStored(stored);
  if (document === undefined) return undefined;
  const { settings } = await installedSettings(own, document, stored.version);
  if (isDeepStrictEqual({ ...settings.agents }, { ...own.agents })) return undefined;
  return new LanekeeperError(
    'settings_came',
    `this process started before its installation had settings, and has other agents than version ${stored.version} says; ` +
      'start it again: it takes them from there',
  );
}
