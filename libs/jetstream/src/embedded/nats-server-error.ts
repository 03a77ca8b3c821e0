import { LanekeeperError } from '#contracts';
import { MIN_NATS_SERVER_VERSION } from './nats-server-version.js';

/** There is no nats-server to run; the message says what to install or to set. */
export class NatsServerError extends LanekeeperError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('nats_server_unavailable', message, options);
  }
}

/** The remedy that always works, for the end of every message about a missing binary. */
export function installByHand(platform: NodeJS.Platform): string {
  if (platform === 'darwin') return 'run `brew install nats-server`, then start again';
  return (
    `install nats-server ${MIN_NATS_SERVER_VERSION} or later with your package manager or with ` +
    '`go install github.com/nats-io/nats-server/v2@latest`, set NATS_SERVER_BIN to the binary, then start again; ' +
    'or set LANEKEEPER_NATS_URL to a broker that runs already'
  );
}
