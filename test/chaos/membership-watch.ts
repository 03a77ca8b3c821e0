import { connect, type NatsConnection } from '@nats-io/transport-node';
import type { Names } from '#contracts';
import { parseMember } from '#shards';
import type { Span } from './history.js';

/** What was seen of the memberships. */
export interface MembershipWatch extends AsyncDisposable {
  /** By incarnation, ascending. */
  readonly renewals: ReadonlyMap<string, readonly number[]>;
  /** When no node was there to be asked. */
  readonly blind: readonly Span[];
}

/** Soon after the workers themselves, who wait a quarter of a second. */
const RECONNECT_MS = 20;

/**
 * Hears every renewal as it is published, on every node: whether a membership stood is judged by this and not by what was
 * done to its process, which on a busy machine is not the same.
 */
export async function watchMemberships(names: Names, urls: readonly string[]): Promise<MembershipWatch> {
  const renewals = new Map<string, number[]>();
  const blind: { from: number; to: number }[] = [];
  const connections: NatsConnection[] = [];
  let seeing = 0;
  const note = (incarnation: string): void => {
    const times = renewals.get(incarnation) ?? [];
    if (times.length === 0) renewals.set(incarnation, times);
    times.push(Date.now());
  };
  for (const servers of urls) {
    const options = { servers, reconnectTimeWait: RECONNECT_MS, reconnectJitter: 0, ignoreClusterUpdates: true };
    const nc = await connect({ ...options, maxReconnectAttempts: -1, name: 'chaos' });
    connections.push(nc);
    seeing++;
    nc.subscribe(`$KV.${names.membersBucket}.*`, {
      callback: (_error, message) => {
        const incarnation = parseMember(message.string())?.incarnation;
        if (incarnation !== undefined) note(incarnation);
      },
    });
    void (async () => {
      for await (const { type } of nc.status()) {
        if (type === 'disconnect' && --seeing === 0) blind.push({ from: Date.now(), to: Number.POSITIVE_INFINITY });
        if (type === 'reconnect' && ++seeing === 1) Object.assign(blind.at(-1) ?? {}, { to: Date.now() });
      }
    })();
  }
  return {
    renewals,
    blind,
    async [Symbol.asyncDispose]() {
      await Promise.all(connections.map((nc) => nc.close()));
    },
  };
}
