import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { packageVersion, type Settings } from '#config';
import { LanekeeperError, systemClock, type Names, type SessionAnswer, type SessionQuestion } from '#contracts';
import {
  KeyBucket,
  PatientPublisher,
  RecordCommitter,
  StreamReader,
  type BrokerConnection,
  type PublishChannel,
} from '#jetstream';
import { describeRuns, HeadTable, IdleHeads, LaneRunner } from '#lanes';
import { KeyLeaseStore, KeyMemberStore, longestTryMs, ShardKeeper } from '#shards';
import { collectGarbage } from '#roles';
import type { Logger } from '#telemetry';
import { AgentRunner, type BoundAgent } from './agents/agent-runner.js';
import { EventLoopLoad } from './event-loop-load.js';
import { answerControl, FormerOwnersClient, type RunsInHandoff } from './broker/former-owners.client.js';
import { IdleCollector } from './idle-collector.js';
import { InboxLookup } from './broker/inbox-lookup.client.js';
import { InboxTrimmer } from './broker/inbox-trimmer.client.js';
import { JetStreamRecordStore } from './broker/record-store.client.js';
import { SessionEvents } from './broker/session-events.publisher.js';
import { SessionLog } from './broker/session-log.js';
import { ShardLanesWork } from './broker/shard-lanes.client.js';
import type { RunTasks } from './tasks/run-tasks.js';
import type { WorkerParts } from './worker-lifecycle.js';
import { makeWorkerTasks } from './worker-tasks.client.js';

export interface WorkerPartsOptions {
  readonly settings: Settings;
  /** Version of the shared settings; 0 = the installation has none. */
  readonly settingsVersion: number;
  readonly names: Names;
  readonly workerId: string;
  readonly incarnation: string;
  readonly connection: BrokerConnection;
  readonly channel: PublishChannel;
  /** For members and leases. It uses short tries and repeats each write until its outcome is clear. */
  readonly ownershipChannel: PublishChannel;
  readonly agents: ReadonlyMap<string, BoundAgent>;
  readonly onReplaced: (error: Error) => void;
  readonly log: Logger;
}

const FORGET_IDLE_MS = 5_000;
const GIVE_UP_MS = 1_000;

/** Wires a worker: lanes, records, shards and leases. */
export function makeWorkerParts(options: WorkerPartsOptions): WorkerParts {
  const { settings, names, workerId, incarnation, connection, channel, agents, onReplaced, log } = options;
  const { ownershipChannel } = options;
  const isReplicated = settings.nats.replicas > 1;
  const { ttlMs, renewMs } = settings.membership;
  const startedAt = Date.now();
  const eventLoop = new EventLoopLoad();
  const reader = new StreamReader(connection);
  const committer = new RecordCommitter(connection, channel, reader, names.turnsStream, log);
  const publisher = new PatientPublisher(connection, channel, log);
  const hasContents = settings.log.contents;
  const events = new SessionEvents(connection, names, new SessionLog({ log, clock: systemClock, hasContents }));
  const store = new JetStreamRecordStore({
    ...{ connection, reader, committer, names, isReplicated, events, log },
    keeper: publisher,
  });
  const lookup = new InboxLookup({ connection, reader, names, isReplicated, log });
  const ownershipReader = new StreamReader(connection, { timeoutMs: longestTryMs(ttlMs, renewMs), asksAgain: true });
  const bucket = (name: string): KeyBucket => new KeyBucket(connection, ownershipChannel, ownershipReader, name, log);
  const members = new KeyMemberStore(bucket(names.membersBucket));
  const leases = new KeyLeaseStore(connection, bucket(names.shardsBucket), names.shards);
  const { guarded, tasks } = makeWorkerTasks({ ...options, reader });
  const formerOwners: FormerOwnersClient = new FormerOwnersClient(connection, names, (holder) => keeper.isGone(holder));
  const lanes: LaneRunner = new LaneRunner({
    store,
    inbox: lookup,
    heads: new IdleHeads(new HeadTable(settings.worker.headTableBytes)),
    ahead: lookup,
    formerOwners,
    turns: new AgentRunner(agents, guarded),
    clock: systemClock,
    newCommitId: commitIds(),
    random: Math.random,
    worker: incarnation,
    capacity: settings.worker.capacity,
    agentMissingMs: settings.inbox.agentMissingMs,
    mayStart: (shard) => keeper.mayStart(shard),
    onEvent: (key, event) => events.tell(key, event, Date.now()),
    isUntold: (runId) => !events.wasAnnounced(runId),
    log,
  });
  const work: ShardLanesWork = new ShardLanesWork({
    ...{ connection, reader, names, lanes, lookup, log },
    knowTurnsUpTo: (seq) => store.knowUpTo(seq),
    describe: (asked, shard) => describeSession({ lanes, formerOwners, tasks }, asked, shard),
  });
  const keeper: ShardKeeper = new ShardKeeper({
    ...{ incarnation, ttlMs, renewMs, members, leases, work, log },
    id: workerId,
    shards: names.shards,
    clock: systemClock,
    newWriteId: randomUUID,
    repair: 'run `lanekeeper repair inbox`',
    describe: () => ({
      capacity: settings.worker.capacity,
      running: lanes.running,
      waiting: lanes.waiting,
      paused: lanes.paused,
      ...lanes.memory,
      busy: eventLoop.share(),
      leaked: lanes.leaked,
      discarded: lanes.discarded,
      settingsVersion: options.settingsVersion,
      version: packageVersion(),
      startedAt,
      ...waitingForAgents(lanes),
    }),
    agents: () => [...agents.keys()],
    onReplaced: (by) => onReplaced(idInUse(workerId, by)),
  });
  const collector = new IdleCollector({
    activity: () => {
      const { running, waiting, read, memory } = lanes;
      return { busy: running + waiting, read, lanes: memory.lanes };
    },
    collect: collectGarbage,
    clock: systemClock,
  });
  const trimmer = new InboxTrimmer({
    ...{ connection, reader, leases, names, log },
    shards: names.shards,
    keepMs: settings.inbox.keepMs,
    clock: systemClock,
  });
  const held = {
    running: (key: SessionQuestion) => describeRunsInHandoff(lanes, key),
    cancel: lanes.work.cancelInHandoff.bind(lanes.work),
  };
  let ends: (() => void)[] = [];
  return {
    lanes,
    join: async () => {
      const former = await members.standing(workerId);
      if (former !== undefined && (await formerOwners.isAlive(former))) throw idInUse(workerId, former);
      ends = [
        answerControl(connection, names, incarnation, held),
        connection.onDown(() => keeper.interrupt()),
        connection.onUp(() => keeper.returned()),
        every(FORGET_IDLE_MS, () => {
          lanes.forgetIdle();
          collector.look();
        }),
      ];
      await keeper.start();
      trimmer.start();
    },
    giveShardsAway: () => Promise.race([keeper.drain(), untilAway(connection)]),
    leave: async () => {
      trimmer.stop();
      for (const end of ends) end();
      await keeper.close();
      await work.closeAll();
      events.close();
    },
    stopCommits: () => {
      guarded.close();
      committer.stop();
      publisher.stop();
    },
  };
}

/** Commit ids of one life of this process. The stem is random and unique, so a counter is enough behind it. */
function commitIds(): () => string {
  const stem = randomBytes(9).toString('base64url');
  let count = 0;
  return () => `${stem}.${(count++).toString(36)}`;
}

function every(periodMs: number, fn: () => void): () => void {
  const timer = setInterval(fn, periodMs);
  return () => clearInterval(timer);
}

/**
 * Resolves when the broker is away for longer than its restart takes. Then the leases cannot be given up, and the next
 * worker takes the shards over as after a crash.
 */
async function untilAway(connection: BrokerConnection): Promise<void> {
  for (;;) {
    if (connection.isUp) await new Promise<void>((resolve) => connection.onDown(resolve));
    const isBack = connection.whenUp().then(() => true);
    if (!(await Promise.race([isBack, delay(GIVE_UP_MS, false)]))) return;
    if (connection.nc.isClosed()) return;
  }
}

/** Describes a session, also while its turn runs at a former owner. */
async function describeSession(
  { lanes, formerOwners, tasks }: { lanes: LaneRunner; formerOwners: FormerOwnersClient; tasks: RunTasks },
  asked: SessionQuestion,
  shard: number,
): Promise<SessionAnswer> {
  const answer = lanes.describe({ ...asked, shard });
  if (answer.state === 'held') return { ...answer, ...(await formerOwners.running(answer.worker, asked)) };
  const { running, retry, concurrent = [] } = answer;
  const runs = [running, retry, ...concurrent].flatMap((run) => run?.runId ?? []);
  const held = runs.flatMap((runId) => tasks.holdings.heldBy(runId).map(({ key }) => key));
  return held.length === 0 ? answer : { ...answer, tasks: held };
}

/** Empty when no session waits for a missing agent. */
function waitingForAgents({ waitingForAgents: waiting }: LaneRunner): object {
  return Object.keys(waiting).length === 0 ? {} : { waitingForAgents: waiting };
}

function describeRunsInHandoff(lanes: LaneRunner, key: SessionQuestion): RunsInHandoff | undefined {
  const lane = lanes.work.find(key);
  return lane === undefined ? undefined : describeRuns(lane, (run) => lanes.work.startedAt(run));
}

function idInUse(workerId: string, by: string): LanekeeperError {
  return new LanekeeperError(
    'worker_id_in_use',
    `worker.id: found ${workerId} in use by a process that lives (${by}), wanted one of its own for each process; set ` +
      'LANEKEEPER_WORKER_ID to another one, or stop that process',
  );
}
