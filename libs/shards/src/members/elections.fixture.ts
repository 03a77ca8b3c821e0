import type { KeyBucket, KeyEntry, KeyWrite } from '#jetstream';
import { silentLogger } from '#telemetry';
import type { ManualClock } from '#testing';
import { DeathJudge } from './death-judge.js';
import { KeyMemberStore } from './member-store.client.js';
import { MemberView } from './member-view.js';
import { Membership, renewalTryMs } from './membership.js';

/** For specs: members of one bucket that elects a leader now and then. Each member reaches the new leader at its own time. */

export const TTL_MS = 10_000;
export const RENEW_MS = 2_000;
const ANSWER_MS = 5;
const LOOK_MS = 200;

export interface Election {
  readonly fromMs: number;
  readonly untilMs: number;
  /** By the number of the member: how much later its requests reach the next leader. */
  readonly lagsMs: readonly number[];
}

interface Stored {
  readonly value: string;
  readonly revision: number;
  readonly expiresAt: number;
}

export class ElectedBucket {
  readonly stored = new Map<string, Stored>();
  readonly listeners = new Map<number, (key: string, value: string) => void>();
  private revision = 0;

  constructor(
    readonly clock: ManualClock,
    private readonly beganAt: number,
    private readonly elections: readonly Election[],
  ) {}

  get nowMs(): number {
    return this.clock.monotonic() - this.beganAt;
  }

  /** Whether there is no leader that the member's requests reach. */
  isSilent(member: number, atMs = this.nowMs): boolean {
    return this.elections.some(
      ({ fromMs, untilMs, lagsMs }) => atMs >= fromMs && atMs < untilMs + (lagsMs[member] ?? 0),
    );
  }

  find(key: string): Stored | undefined {
    const found = this.stored.get(key);
    return found !== undefined && found.expiresAt > this.nowMs ? found : undefined;
  }

  put(key: string, value: string, expected: number, ttlMs: number): KeyWrite {
    if ((this.find(key)?.revision ?? 0) !== expected) return { kind: 'conflict' };
    const revision = ++this.revision;
    this.stored.set(key, { value, revision, expiresAt: this.nowMs + ttlMs });
    return { kind: 'written', revision };
  }
}

/** One member's connection to the bucket: a request that a leader does not answer ends after one try. */
class MembersWay {
  isCut = false;

  constructor(
    private readonly bucket: ElectedBucket,
    private readonly member: number,
  ) {}

  read(key: string): Promise<KeyEntry | undefined> {
    return this.ask(() => {
      const found = this.bucket.find(key);
      return found === undefined ? undefined : { key, revision: found.revision, value: found.value };
    });
  }

  async readMany(): Promise<KeyEntry[]> {
    return [];
  }

  async write(
    key: string,
    value: string,
    { expected, ttlMs = 0 }: { readonly expected: number; readonly ttlMs?: number },
  ): Promise<KeyWrite> {
    // Whether a leader is there or not: this is the wire.
    for (const [listener, tell] of this.bucket.listeners) if (listener !== this.member && !this.isCut) tell(key, value);
    return this.ask(() => this.bucket.put(key, value, expected, ttlMs)).catch(() => ({ kind: 'unclear' as const }));
  }

  onWrite(_pattern: string, tell: (key: string, value: string) => void): () => void {
    this.bucket.listeners.set(this.member, tell);
    return () => void this.bucket.listeners.delete(this.member);
  }

  /** A change that was made stays, even when the leader ends before it has answered. */
  private ask<T>(apply: () => T): Promise<T> {
    const { clock } = this.bucket;
    return new Promise((resolve, reject) => {
      const isHeard = !this.isCut && !this.bucket.isSilent(this.member);
      const answer = isHeard ? apply() : undefined;
      const answersAtMs = this.bucket.nowMs + ANSWER_MS;
      if (isHeard && !this.bucket.isSilent(this.member, answersAtMs))
        clock.after(ANSWER_MS, () => resolve(answer as T));
      else clock.after(renewalTryMs(RENEW_MS), () => reject(new Error('no leader')));
    });
  }
}

/** A process that renews its membership, and judges the others at every look. */
export class ElectedMember {
  readonly incarnation: string;
  readonly deadSinceMs = new Map<number, number>();
  killedAtMs: number | undefined;
  private readonly way: MembersWay;
  private readonly membership: Membership;
  private readonly judge: DeathJudge;

  constructor(
    private readonly bucket: ElectedBucket,
    readonly number: number,
  ) {
    this.incarnation = `m${number}/1`;
    this.way = new MembersWay(bucket, number);
    const { clock } = bucket;
    const members = new KeyMemberStore(this.way as unknown as KeyBucket);
    const options = { id: `m${number}`, incarnation: this.incarnation, ttlMs: TTL_MS, renewMs: RENEW_MS, clock };
    this.membership = new Membership({
      ...options,
      store: members,
      log: silentLogger,
      describe: () => ({}),
      onReturn: () => {},
      onReplaced: () => {},
    });
    const view = new MemberView(members, TTL_MS, clock, () => {});
    this.judge = new DeathJudge({ ...options, members, membership: this.membership, view });
  }

  async run(others: readonly ElectedMember[]): Promise<void> {
    await this.membership.join();
    void this.look(others);
  }

  /** Nothing of it goes out any more, and nothing that it says counts. */
  kill(): void {
    this.killedAtMs = this.bucket.nowMs;
    this.way.isCut = true;
  }

  private async look(others: readonly ElectedMember[]): Promise<void> {
    if (this.killedAtMs !== undefined) return;
    for (const other of others) {
      const isDead = await this.judge.isGone(other.incarnation);
      if (isDead && !this.deadSinceMs.has(other.number)) this.deadSinceMs.set(other.number, this.bucket.nowMs);
    }
    this.bucket.clock.after(LOOK_MS, () => void this.look(others));
  }
}
