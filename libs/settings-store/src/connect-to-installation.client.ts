import { connectToStreams, type BrokerConnection } from '#jetstream';
import { joinInstallation, type Installation, type JoinInstallationOptions } from './join-installation.client.js';

export type InstallationConnectionOptions = Parameters<typeof connectToStreams>[0] &
  Omit<JoinInstallationOptions, 'connection'>;

/** Connects to the streams and loads the settings that this process uses. Closes the connection when it rejects. */
export async function connectToInstallation(
  options: InstallationConnectionOptions,
): Promise<{ connection: BrokerConnection; installation: Installation }> {
  const connection = await connectToStreams(options);
  try {
    return { connection, installation: await joinInstallation({ ...options, connection }) };
  } catch (error) {
    await connection.close();
    throw error;
  }
}
