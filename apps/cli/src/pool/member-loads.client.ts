import { z } from 'zod';
import type { Clock } from '#contracts';
import type { BrokerConnection } from '#jetstream';
import type { MemberStore } from '#shards';
import type { WorkerLoad } from './pool-size.js';

export interface HeardLoad extends WorkerLoad {
  readonly at: number;
}

/** What a pool hears from its workers. */
export interface LoadSource {
  /** Since when the pool hears its workers; `undefined` while it does not. */
  readonly hearsSince: number | undefined;
  /** The last load of the worker with this id. */
  of(id: string): HeardLoad | undefined;
}

const told = z.object({ running: z.number(), waiting: z.number(), busy: z.number() });

/**
 * The loads of workers, from the renewals of their memberships: each is heard as it is published, so that nothing has to be
 * asked, and one whose event loop hangs is known by its silence.
 */
export class MemberLoads implements LoadSource {
  private readonly loads = new Map<string, HeardLoad>();
  private upSince: number;
  private readonly ends: readonly (() => void)[];

  constructor(
    private readonly connection: Pick<BrokerConnection, 'isUp' | 'onUp'>,
    members: Pick<MemberStore, 'onWrite'>,
    private readonly clock: Clock,
  ) {
    this.upSince = clock.monotonic();
    this.ends = [
      connection.onUp(() => (this.upSince = this.clock.monotonic())),
      members.onWrite((id, value) => {
        const { data } = told.safeParse(value);
        if (data === undefined) this.loads.delete(id);
        else this.loads.set(id, { ...data, at: this.clock.monotonic() });
      }),
    ];
  }

  get hearsSince(): number | undefined {
    return this.connection.isUp ? this.upSince : undefined;
  }

  of(id: string): HeardLoad | undefined {
    return this.loads.get(id);
  }

  close(): void {
    for (const end of this.ends) end();
  }
}
