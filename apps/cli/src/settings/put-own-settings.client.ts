import { saysSomething, type Settings } from '#config';
import { LanekeeperError, Names } from '#contracts';
import { connectToStreams, untilJetStreamAnswers } from '#jetstream';
import { putSettings, readReplaceable, SettingsStore } from '#settings-store';
import type { Logger } from '#telemetry';

export interface OwnSettingsOptions {
  readonly settings: Settings;
  readonly natsUrl: string;
  /** The broker is shared: another process of the installation may have put settings there. */
  readonly isShared: boolean;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

const TRIES = 5;

/**
 * At every start, the settings of `up` become those of its installation: an operator edits the file and starts `up` again. On
 * a shared broker an `up` without settings changes nothing: started in the wrong folder, it would otherwise give every agent
 * of the installation to the echo.
 */
export async function putOwnSettings(options: OwnSettingsOptions): Promise<void> {
  const { settings, natsUrl, isShared, log, signal } = options;
  if (isShared && !saysSomething(settings.shared)) return;
  const names = new Names(settings.namespace, settings.shards);
  const connection = await connectToStreams({ ...options, url: natsUrl, name: 'lanekeeper up', names });
  const store = new SettingsStore(connection, names, log);
  try {
    await untilJetStreamAnswers(() => put(store, settings, log), { log, signal });
  } finally {
    store.close();
    await connection.close();
  }
}

async function put(store: SettingsStore, settings: Settings, log: Logger): Promise<void> {
  for (let tries = 1; tries <= TRIES; tries++) {
    const standing = await store.read();
    const before = readReplaceable(standing);
    if (before === undefined && standing.text !== undefined) {
      log.warn(
        { version: standing.version },
        'the settings of the installation are damaged: those of this process replace them',
      );
    }
    const outcome = await putSettings(store, settings, { before, standing, command: 'lanekeeper up' });
    if (outcome.kind === 'conflict') continue;
    const { version, differences } = outcome;
    for (const { field, before: was, after } of before === undefined ? [] : differences) {
      log.info({ field, before: was, after, settingsVersion: version, formerlyBy: before?.by }, 'a setting changes');
    }
    return;
  }
  throw new LanekeeperError(
    'settings_contended',
    "the installation's settings: found other processes that put theirs there all the time, wanted one; end them, or " +
      'start `lanekeeper up` in one place only',
  );
}
