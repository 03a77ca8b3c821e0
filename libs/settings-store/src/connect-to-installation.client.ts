import { connectToStreams, type BrokerConnection } from '#jetstream';
import { joinInstallation, type Installation, type JoinInstallationOptions } from './join-installation.client.js';

export type InstallationConnectionOptions = Parameters<typeof connectToStreams>[0] &
  Omit<JoinInstallationOptions, 'connection'>;

/** A connection to the streams, and what this process acts on. Leaves nothing behind when it rejects. */
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
