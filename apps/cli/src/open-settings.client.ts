import { JetStreamApiError } from '@nats-io/jetstream';
import { loadSettings } from '#config';
import { LanekeeperError, Names } from '#contracts';
import { applyTopology, bucketStream, SERVER_ERROR, settingsBucket, type BrokerConnection } from '#jetstream';
import { brokerUrl } from '#roles';
import { SettingsStore } from '#settings-store';
import { silentLogger } from '#telemetry';
import { connectForCommand } from './connect-for-command.client.js';
import type { OpenedSettings } from './settings-command.js';

/** The settings of the installation that the roles in this folder belong to. */
export async function openSettings(file: string | undefined, makes: boolean): Promise<OpenedSettings> {
  const settings = loadSettings({ file });
  const names = new Names(settings.namespace, settings.shards);
  const connection = await connectForCommand(brokerUrl(settings), 'settings');
  try {
    // Only where there is none: the copies that it has are not those of whoever pushes from somewhere.
    if (!(await isThere(connection, names))) {
      if (!makes) throw noBucket(names);
      await applyTopology(connection, [settingsBucket(names, settings.nats)], silentLogger);
    }
  } catch (error) {
    await connection.close();
    throw error;
  }
  const store = new SettingsStore(connection, names, silentLogger);
  return {
    ...{ settings, store },
    close: async () => {
      store.close();
      await connection.close();
    },
  };
}

async function isThere({ jsm }: BrokerConnection, { settingsBucket: bucket }: Names): Promise<boolean> {
  try {
    await jsm.streams.info(bucketStream(bucket).stream);
    return true;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === SERVER_ERROR.streamNotFound) return false;
    throw error;
  }
}

function noBucket({ namespace }: Names): LanekeeperError {
  return new LanekeeperError(
    'no_settings',
    `namespace ${namespace}: found no settings of an installation; start a role, put some there with \`lanekeeper settings ` +
      'push <file>`, or set LANEKEEPER_NAMESPACE and LANEKEEPER_NATS_URL to those of the installation',
  );
}
