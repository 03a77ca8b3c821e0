import { loadSettings } from '#config';
import { LanekeeperError, Names } from '#contracts';
import { bucketStream, findStream, KeyBucket, PublishChannel, StreamReader, type BrokerConnection } from '#jetstream';
import { brokerUrl } from '#roles';
import { KeyLeaseStore } from '#shards';
import { silentLogger } from '#telemetry';
import { connectForCommand } from '../connect-for-command.client.js';
import { gatherEvidence } from './inbox-evidence.client.js';
import { InboxRepair } from './inbox-repair.client.js';
import type { InboxToRepair } from './repair-command.js';

/** The inbox of the broker that the roles in this folder use. Makes nothing: a role that starts makes missing streams. */
export async function openInboxToRepair(): Promise<InboxToRepair> {
  const settings = loadSettings();
  const names = new Names(settings.namespace, settings.shards);
  const connection = await connectForCommand(brokerUrl(settings), 'repair');
  try {
    await expectStreams(connection, names);
  } catch (error) {
    await connection.close();
    throw error;
  }
  const channel = new PublishChannel(connection);
  const reader = new StreamReader(connection);
  const bucket = new KeyBucket(connection, channel, reader, names.shardsBucket, silentLogger);
  const leases = new KeyLeaseStore(connection, bucket, names.shards);
  const repair = new InboxRepair({ connection, channel, reader, names, dedupWindowMs: settings.dedup.windowMs });
  return {
    stream: names.inboxStream,
    gather: () => gatherEvidence(connection, reader, leases, names),
    plan: (evidence) => repair.plan(evidence),
    mend: (mending, onProgress) => repair.mend(mending, onProgress),
    close: async () => {
      channel.close();
      await connection.close();
    },
  };
}

async function expectStreams(connection: BrokerConnection, names: Names): Promise<void> {
  const wanted = [names.inboxStream, names.turnsStream, bucketStream(names.shardsBucket).stream];
  const lacking: string[] = [];
  for (const stream of wanted) if ((await findStream(connection, stream)) === undefined) lacking.push(stream);
  if (lacking.length === 0) return;
  throw new LanekeeperError(
    'no_stream',
    `namespace ${names.namespace}: found no stream ${lacking.join(', ')}; start a role, which makes what is missing, or ` +
      'set LANEKEEPER_NAMESPACE and LANEKEEPER_NATS_URL to those of the installation',
  );
}
