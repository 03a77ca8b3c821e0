import { loadSettings } from '#config';
import { LanekeeperError, Names } from '#contracts';
import { applyTopology, bucketStream, findStream, settingsBucket } from '#jetstream';
import { brokerUrl } from '#roles';
import { SettingsStore } from '#settings-store';
import { silentLogger } from '#telemetry';
import { connectForCommand } from '../connect-for-command.client.js';
import type { OpenedSettings } from './settings-command.js';

/** The settings of the installation that the roles in this folder belong to. */
export async function openSettings(file: string | undefined, makes: boolean): Promise<OpenedSettings> {
  const settings = loadSettings({ file });
  const names = new Names(settings.namespace, settings.shards);
  const connection = await connectForCommand(brokerUrl(settings), 'settings');
  try {
    // Only where there is none: this folder may declare another number of replicas than the installation has.
    if ((await findStream(connection, bucketStream(names.settingsBucket).stream)) === undefined) {
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

function noBucket({ namespace }: Names): LanekeeperError {
  return new LanekeeperError(
    'no_settings',
    `namespace ${namespace}: found no settings of an installation; start a role, put some there with \`lanekeeper settings ` +
      'push <file>`, or set LANEKEEPER_NAMESPACE and LANEKEEPER_NATS_URL to those of the installation',
  );
}
