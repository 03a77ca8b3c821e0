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
  /** Settings from this process's own file and environment. */
  readonly settings: Settings;
  /** The role of this process, such as `worker`. It is stored with the first version, for operators. */
  readonly role: string;
  readonly log: Logger;
  readonly signal?: AbortSignal | undefined;
}

/** The settings that a process uses from its start to its end. */
export interface Installation {
  readonly settings: Settings;
  /** Version of the shared settings; 0 = there were none, and the process uses its own. */
  readonly version: number;
  /** The newest version at the broker, perhaps a moment old. Rejects while the broker is away. */
  newestVersion(): Promise<number>;
  /** Resolves when the process started without shared settings and the installation then got different ones. */
  readonly outdated: Promise<Error>;
  close(): void;
}

/** More lines at one start would hide everything else. */
const MOST_LINES = 50;

/**
 * Loads agents, queueing and guard settings from the broker. If there are none, a process that has such settings stores
 * them. When several start at once the first wins, and the others use its settings. A process without such settings
 * uses the defaults and stores nothing: it knows nothing of the installation and must not decide for it.
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
        log.info(
          { settingsVersion: version, newest },
          'the installation has newer settings: restart this process to use them',
        );
        if (version > 0) return;
        judgeFirst(store, own).then(
          (error) => error && outdated.resolve(error),
          (error: unknown) => log.warn({ error: String(error) }, 'cannot use the settings of the installation'),
        );
      },
    });
    const stopsListening = [store.onWrite(() => watch.hint())];
    if (version === 0) {
      // A hint may have come earlier, or while the connection was down. Until it looks, this process serves an
      // installation that may have other settings.
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

/** The stored settings. Stores this process's own first, if there are none. */
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

/** An error if this process runs agents with settings that differ from the shared ones. */
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
