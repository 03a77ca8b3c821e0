import { redactUrl } from '#config';
import { LanekeeperError } from '#contracts';
import { BrokerConnection } from '#jetstream';
import { silentLogger } from '#telemetry';

const CONNECT_WITHIN_MS = 10_000;

/** The broker, for a command that a person waits for: when no broker answers, the command says so and ends. */
export async function connectForCommand(url: string, command: string): Promise<BrokerConnection> {
  const signal = AbortSignal.timeout(CONNECT_WITHIN_MS);
  try {
    return await BrokerConnection.open({ url, name: `lanekeeper ${command}`, log: silentLogger, signal });
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new LanekeeperError(
      'unreachable',
      `nats.url: no broker answers on ${redactUrl(url)}; start it (with \`lanekeeper up\` its broker runs as long as it ` +
        'does), or set LANEKEEPER_NATS_URL to the right one',
      { cause: error },
    );
  }
}
