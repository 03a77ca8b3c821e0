import { type SessionTokens, keyOfLane, type LoadedHead } from '#contracts';
import { HeadTable, IdleHeads, LaneRunner, type FormerOwners, type TurnRunner } from '#lanes';
import { ShardKeeper, type ShardProgress, type ShardStart, type ShardWork } from '#shards';
import { silentLogger } from '#telemetry';
import { FormerOwnerVerdicts } from '../broker/former-owner-verdicts.js';
import type { ModelMessage } from './ownership-broker.fixture.js';
import { ModelHost, type ModelWorld } from './ownership-host.fixture.js';
import { ModelLeases, ModelMembers, ModelStore } from './ownership-stores.fixture.js';

/** For the model of ownership: a whole worker on the real lanes and the real keeper of shards. */

export const SHARDS = 4;
const TTL_MS = 2_000;
const RENEW_MS = 500;

/** One ownership of a shard. Code of an earlier ownership that still runs must see that it is over. */
interface Reading {
  position: number;
  /** Last sequence of the inbox, as the previous call saw it. */
  seenEnd: number;
}

/** Reads shards into lanes, as the real `ShardFeed` does: open sessions by their subject, the rest in order. */
class ModelIntake implements ShardWork {
  private readonly readings = new Map<number, Reading>();

  constructor(
    private readonly host: ModelHost,
    private readonly lanes: LaneRunner,
    private readonly store: ModelStore,
  ) {}

  async open(shard: number, start: ShardStart): Promise<void> {
    const { broker } = this.host.world;
    let { tail, crash } = start;
    if (start.isCrash) {
      tail = await this.host.surely(() => broker.lastRecordSeq);
      crash = { tail, upTo: await this.host.surely(() => broker.inbox.length) };
    }
    this.store.knownSeq = Math.max(this.store.knownSeq, tail);
    this.lanes.openShard(shard, { ...start, tail, crash });
    const reading = { position: start.read, seenEnd: 0 };
    this.readings.set(shard, reading);
    void this.read(shard, start, reading);
  }

  running(shard: number): number {
    return this.lanes.runningIn(shard);
  }

  async progress(shard: number): Promise<ShardProgress | undefined> {
    const { inbox } = this.host.world.broker;
    const reading = this.readings.get(shard);
    if (reading === undefined) return undefined;
    const { position, seenEnd } = reading;
    try {
      const lastSeq = await this.host.call(() => inbox.length);
      const next = await this.host.call(() =>
        inbox.find((message) => message.shard === shard && message.seq > position),
      );
      if (this.readings.get(shard) !== reading) return undefined;
      reading.seenEnd = lastSeq;
      if (next === undefined && reading.position === position && seenEnd > position) {
        this.lanes.sawNothingUpTo(shard, seenEnd);
      }
    } catch {
      return undefined;
    }
    return this.lanes.progress(shard) as ShardProgress | undefined;
  }

  async release(shard: number, maxHandoffs: number): Promise<ShardProgress> {
    this.readings.delete(shard);
    return (await this.lanes.releaseShard(shard, maxHandoffs)) as ShardProgress;
  }

  drop(shard: number): void {
    this.readings.delete(shard);
    this.lanes.dropShard(shard);
  }

  resume(shard: number): void {
    this.lanes.resume(shard);
  }

  recheckHandoffs(): void {
    void this.lanes.work.discardOverrun();
  }

  get highestRead(): number {
    return Math.max(0, ...[...this.readings.values()].map(({ position }) => position));
  }

  lastSourceSeq(): Promise<number> {
    return this.host.call(() => this.host.world.broker.inbox.length);
  }

  private async read(shard: number, { read, open }: ShardStart, reading: Reading): Promise<void> {
    const { inbox } = this.host.world.broker;
    const isStillOurs = (): boolean => this.readings.get(shard) === reading;
    for (const { session, from } of open) {
      const key = keyOfLane(session, shard);
      const older = await this.host.surely(() =>
        inbox.filter((m) => m.session === key.sessionToken && m.seq >= from && m.seq <= read),
      );
      if (!isStillOurs()) return;
      for (const message of older) this.lanes.receive(key, toRaw(message));
      this.lanes.receivedOpen(key);
    }
    while (isStillOurs()) {
      const hasRoom = this.lanes.askForRoom(shard);
      // Even then reading continues, one message at a time.
      if (!hasRoom) await this.host.pause(60);
      const batch = await this.host.surely(() =>
        inbox.filter((message) => message.shard === shard && message.seq > reading.position).slice(0, hasRoom ? 3 : 1),
      );
      if (!isStillOurs()) return;
      for (const message of batch) {
        reading.position = message.seq;
        this.lanes.receive(keyOfLane(`${message.agent ?? 'main'}.${message.session}`, shard), toRaw(message));
      }
      if (batch.length === 0) {
        this.lanes.caughtUp(shard);
        await this.host.pause(40);
      }
    }
  }
}

function toRaw({ seq, route, strategy, sequence, order, at }: ModelMessage) {
  const thread = route === '' ? {} : { thread: route };
  const target = order === 'all' ? { what: 'session' } : { what: 'message', seq: seq - 1 };
  const content =
    order === undefined
      ? { kind: 'message', text: 'x', strategy, sequence, ...thread }
      : { kind: 'control', op: 'cancel', target };
  const body = JSON.stringify({ v: 1, id: `m${seq}`, ...content });
  return { seq, storedAtMs: at, data: Buffer.from(body), header: () => '' };
}

class ModelHeads extends IdleHeads {
  constructor(private readonly onTake: (key: SessionTokens, known: LoadedHead) => void) {
    super(new HeadTable(256));
  }

  override take(...asked: Parameters<IdleHeads['take']>): LoadedHead | undefined {
    const known = super.take(...asked);
    if (known !== undefined) this.onTake(asked[0].key, known);
    return known;
  }
}

/** What workers report to the model. */
export interface WorkerWorld extends ModelWorld {
  /** A worker knows the head of a session without reading it. */
  remember?(worker: ModelWorker, key: SessionTokens, known: LoadedHead): void;
}

let ids = 0;

export class ModelWorker {
  readonly incarnation: string;
  readonly host: ModelHost;
  readonly lanes: LaneRunner;
  readonly keeper: ShardKeeper;
  private hasStopped = false;

  constructor(
    readonly id: string,
    world: WorkerWorld,
    turns: (worker: ModelWorker) => TurnRunner,
    private readonly drainMs: number,
    /** The worker's agents. Absent: the model is not about agents. */
    readonly agents?: readonly string[],
  ) {
    this.incarnation = `${id}/${++ids}`;
    this.host = new ModelHost(world);
    const { host } = this;
    const { clock } = host;
    const store = new ModelStore(this.host);
    const verdicts = new FormerOwnerVerdicts((holder) => this.keeper.isGone(holder), clock);
    const formerOwners: FormerOwners = { isGone: (holder) => verdicts.isGone(holder), passCancel: () => {} };
    this.lanes = new LaneRunner({
      ...{ store, formerOwners, clock },
      inbox: {
        read: ({ sessionToken }, seqs) =>
          this.host.surely(() => {
            const isAsked = ({ session, seq }: ModelMessage): boolean => session === sessionToken && seqs.includes(seq);
            return { messages: world.broker.inbox.filter(isAsked).map(toRaw), readTo: seqs.at(-1) ?? 0 };
          }),
      },
      heads: new ModelHeads((key, known) => world.remember?.(this, key, known)),
      ahead: {
        isExact: true,
        lastSeqs: (keys) =>
          this.host.call(() =>
            keys.map(
              ({ sessionToken }) => world.broker.inbox.findLast(({ session }) => session === sessionToken)?.seq ?? 0,
            ),
          ),
        messagesOf: async function* ({ sessionToken }, fromSeq) {
          const found = await host.call(() =>
            world.broker.inbox.filter(({ session, seq }) => session === sessionToken && seq >= fromSeq),
          );
          yield* found.map(toRaw);
        },
      },
      // Small limits: lanes come and go, most waiting messages are read twice, and reading of shards pauses now and
      // then.
      memory: { openLanes: 2, bodyBytes: 200, idleLanes: 1, idleBytes: 1_000, idleMs: 60_000 },
      turns: turns(this),
      newCommitId: () => `commit-${++ids}`,
      random: () => 0.5,
      worker: this.incarnation,
      capacity: 3,
      mayStart: (shard) => this.keeper.mayStart(shard),
      log: silentLogger,
    });
    this.keeper = new ShardKeeper({
      ...{ id, clock },
      incarnation: this.incarnation,
      shards: SHARDS,
      ttlMs: TTL_MS,
      renewMs: RENEW_MS,
      members: new ModelMembers(this.host),
      leases: new ModelLeases(this.host),
      work: new ModelIntake(this.host, this.lanes, store),
      newWriteId: () => `write-${++ids}`,
      repair: '',
      describe: () => ({}),
      ...(agents === undefined ? {} : { agents: () => agents }),
      onReplaced: () => this.kill(),
      log: silentLogger,
    });
    this.host.onDown = () => this.keeper.interrupt();
    this.host.onBack = () => this.keeper.returned();
    void this.keeper.start();
  }

  get isGone(): boolean {
    return this.hasStopped || this.host.isDead;
  }

  kill(): void {
    this.host.isDead = true;
  }

  /** SIGTERM, as `WorkerLifecycle` handles it. */
  async stop(): Promise<void> {
    if (this.hasStopped) return;
    this.hasStopped = true;
    const givenAway = this.keeper.drain();
    const ended = givenAway.then(() => this.lanes.work.whenIdle());
    if ((await this.within(ended, this.drainMs)) === 'over') {
      await this.within(Promise.all([this.lanes.work.handBackAll(), givenAway]), 2_000);
    }
    await this.within(this.keeper.close(), 2_000);
    this.kill();
  }

  private within(work: Promise<unknown>, limitMs: number): Promise<'over' | 'ended'> {
    return Promise.race([work.then(() => 'ended' as const), this.host.pause(limitMs).then(() => 'over' as const)]);
  }
}
