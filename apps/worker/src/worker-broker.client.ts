import type { Settings } from '#config';
import type { Names } from '#contracts';
import { PublishChannel, untilJetStreamAnswers } from '#jetstream';
import { connectToInstallation, type Installation } from '#settings-store';
import { longestTryMs, renewalTryMs } from '#shards';
import type { Logger } from '#telemetry';
import type { BoundAgent } from './agents/agent-runner.js';
import type { WorkerParts } from './worker-lifecycle.js';
import { makeWorkerParts } from './worker-parts.client.js';

export interface WorkerBrokerOptions {
  readonly settings: Settings;
  readonly natsUrl: string;
  readonly names: Names;
  /** `workerId` names this worker. `incarnation` is one life of it: `<id>/<startId>`. */
  readonly workerId: string;
  readonly incarnation: string;
  readonly log: Logger;
  readonly signal?: AbortSignal | undefined;
}

export interface WorkerBroker {
  /** The settings that this worker uses. */
  readonly installation: Installation;
  makeParts(agents: ReadonlyMap<string, BoundAgent>): Promise<WorkerParts>;
  /** Resolves when this process cannot continue: the connection is lost for good, or another process uses its id. */
  readonly failed: Promise<Error>;
  close(): Promise<void>;
}

/** The worker's connection to the broker, the streams, and the parts that use them. */
export async function openWorkerBroker(options: WorkerBrokerOptions): Promise<WorkerBroker> {
  const { settings, natsUrl, incarnation, log, signal } = options;
  const { connection, installation } = await connectToInstallation({
    ...{ ...options, role: 'worker' },
    ...{ url: natsUrl, name: `lanekeeper worker ${incarnation}` },
  });
  const channel = new PublishChannel(connection);
  const { ttlMs, renewMs } = settings.membership;
  const ownershipChannel = new PublishChannel(connection, {
    timeoutMs: renewalTryMs(renewMs),
    longestMs: longestTryMs(ttlMs, renewMs),
  });
  let fail: (error: Error) => void = () => {};
  const replaced = new Promise<Error>((resolve) => (fail = resolve));
  return {
    installation,
    makeParts: async (agents) => {
      const parts = makeWorkerParts({
        ...{ ...options, settings: installation.settings, settingsVersion: installation.version },
        ...{ connection, channel, ownershipChannel, agents, onReplaced: fail },
      });
      // `join` first reads whether another process has this id, which needs JetStream. Later steps wait by themselves.
      return { ...parts, join: () => untilJetStreamAnswers(() => parts.join(), { log, signal }) };
    },
    failed: Promise.race([connection.lost(), replaced, installation.outdated]),
    close: async () => {
      installation.close();
      channel.close();
      ownershipChannel.close();
      await connection.close();
    },
  };
}
