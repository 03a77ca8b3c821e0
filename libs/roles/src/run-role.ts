import { readConnection, type Settings } from '#config';
import { LanekeeperError } from '#contracts';
import { runProcess, type ProcessContext, type RunningService } from './run-process.js';

export interface RoleContext extends ProcessContext {
  readonly natsUrl: string;
}

/** Runs one role alone. Its broker is the configured one, or that of `lanekeeper up` in the same folder. */
export async function runRole(role: string, start: (context: RoleContext) => Promise<RunningService>): Promise<void> {
  await runProcess(role, (context) => start({ ...context, natsUrl: brokerUrl(context.settings) }));
}

/** The configured broker, or that of `lanekeeper up` in the same folder. */
export function brokerUrl(settings: Settings): string {
  const url = settings.nats.url ?? readConnection(settings.dataDir)?.natsUrl;
  if (url !== undefined) return url;
  throw new LanekeeperError(
    'no_broker',
    `nats.url: found nothing, and no connection.json in ${settings.dataDir}; set LANEKEEPER_NATS_URL, ` +
      'or start `lanekeeper up` in this folder first',
  );
}
