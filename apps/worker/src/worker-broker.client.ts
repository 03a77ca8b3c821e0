import { randomUUID } from 'node:crypto';
import type { Settings } from '#config';
import { systemClock, type Names } from '#contracts';
import {
  applyTopology,
  BrokerConnection,
  declareTopology,
  PatientPublisher,
  PublishChannel,
  RecordCommitter,
  StreamReader,
} from '#jetstream';
import { LaneRunner } from '#lanes';
import type { Logger } from '#telemetry';
import { AgentRunner, type BoundAgent } from './agent-runner.js';
import { JetStreamRecordStore } from './record-store.client.js';
import { answerSessionQuestions } from './session-rpc.consumer.js';
import { ShardIntake } from './shard-intake.consumer.js';
import type { WorkerParts } from './turn-intake.js';

export interface WorkerBrokerOptions {
  readonly settings: Settings;
  readonly natsUrl: string;
  readonly names: Names;
  readonly incarnation: string;
  readonly log: Logger;
  readonly signal?: AbortSignal;
}

export interface WorkerBroker {
  makeParts(agents: ReadonlyMap<string, BoundAgent>): Promise<WorkerParts>;
  /** Resolves when the connection is lost for good. */
  lost(): Promise<Error>;
  close(): Promise<void>;
}

/** The worker's side of the broker: one connection, the streams as declared, and what is built on them. */
export async function openWorkerBroker(options: WorkerBrokerOptions): Promise<WorkerBroker> {
  const { settings, natsUrl, names, incarnation, log, signal } = options;
  const connection = await BrokerConnection.open({
    url: natsUrl,
    name: `lanekeeper worker ${incarnation}`,
    log,
    ...(signal === undefined ? {} : { signal }),
  });
  const { replicas } = settings.nats;
  try {
    await applyTopology(connection, declareTopology(names, { replicas, dedupWindowMs: settings.dedup.windowMs }), log);
  } catch (error) {
    await connection.close();
    throw error;
  }
  const channel = new PublishChannel(connection);
  const reader = new StreamReader(connection);
  const committer = new RecordCommitter(connection, channel, reader, names.turnsStream, log);

  const keeper = new PatientPublisher(connection, channel, log);

  const makeParts = async (agents: ReadonlyMap<string, BoundAgent>): Promise<WorkerParts> => {
    const store = new JetStreamRecordStore({
      connection,
      reader,
      committer,
      keeper,
      names,
      isReplicated: replicas > 1,
      turnsSeqAtStart: await reader.leaderLastSeq(names.turnsStream),
      log,
    });
    const lanes = new LaneRunner({
      store,
      turns: new AgentRunner(agents),
      clock: systemClock,
      newCommitId: randomUUID,
      random: Math.random,
      worker: incarnation,
      capacity: settings.worker.capacity,
      log,
    });
    const shards = new ShardIntake({ connection, reader, names, lanes, log });
    const allShards = Array.from({ length: names.shards }, (_, shard) => shard);
    return {
      lanes,
      openShards: () => shards.openAll(),
      closeShards: () => shards.closeAll(),
      answerQuestions: () => answerSessionQuestions(connection, names, allShards, lanes),
      stopCommits: () => {
        committer.stop();
        keeper.stop();
      },
    };
  };
  return {
    makeParts,
    lost: () => connection.lost(),
    close: async () => {
      channel.close();
      await connection.close();
    },
  };
}
