import { connect, type NatsConnection } from '@nats-io/transport-node';
import { jetstream, jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { afterEach, describe, expect, it } from 'vitest';
import { expectNothingLeft, until } from '#testing';
import { startBrokers, type Brokers } from '../chaos/brokers.js';
import { LEADERS } from '../chaos/faults/leaders.js';
import { PARTITIONS } from '../chaos/faults/partitions.js';
import { STORES } from '../chaos/faults/stores.js';
import type { Doing, Targets } from '../chaos/faults/targets.js';
import type { PlannedFault } from '../chaos/plan.js';

afterEach(expectNothingLeft);

/** A fault that hurts nothing proves nothing: each is done to a real cluster here, and seen from outside of it. */

const TIME_MS = 120_000;
const SHORT_MS = 500;
const STREAMS = ['S', 'KV_m'];

it(
  'leaders of all streams and buckets, of consumers and of the cluster step down when they are asked to',
  async () => {
    await using cluster = await Cluster.start({ networks: false, diskMegabytes: 0 });
    const before = await cluster.leaders();
    expect(await cluster.inflict(LEADERS['all leaders step down'])).toBe('2 of 2 stepped down');
    await until('each has another leader', async () => {
      const now = await cluster.leaders();
      return now.every((leader, n) => leader !== undefined && leader !== before[n]);
    });
    expect(await cluster.inflict(LEADERS['one leader steps down'], { peer: 1 })).toMatch(
      /^S|KV_m: 1 of 1 stepped down$/,
    );
    expect(await cluster.inflict(LEADERS['leaders of consumers step down'])).toBe('1 of 1 stepped down');
    expect(await cluster.inflict(LEADERS['leader of the cluster steps down'])).toBe('1 of 1 stepped down');
  },
  TIME_MS,
);

it(
  'a node that was away comes back with the store that it had, and far behind',
  async () => {
    await using cluster = await Cluster.start({ networks: false, diskMegabytes: 0 });
    const away = cluster.inflict(STORES['keep broker away for long'], { target: 2, lastsMs: 3_000 });
    let sent = 0;
    const sending = (async () => {
      for (; sent < 500; sent++) await cluster.publish(0);
    })();
    const said = await away;
    await sending;
    expect(Number(/missed (\d+) writes/.exec(said)?.[1])).toBeGreaterThan(100);
  },
  TIME_MS,
);

describe('on Linux and as root (without, these tests fail and say so)', () => {
  const made = { networks: true, diskMegabytes: 32 };

  it.each(['part broker from the others', 'lose what broker sends to the others'] as const)(
    '%s: nothing is stored through that node, and what the others store goes on',
    async (kind) => {
      await using cluster = await Cluster.start(made);
      expect(await cluster.publish(0)).toBe(true);
      const parted = cluster.inflict(PARTITIONS[kind], { target: 0, lastsMs: 10_000 });
      await until('nothing is stored through the node that is cut off', async () => !(await cluster.publish(0)));
      await until('the others go on', () => cluster.publish(1));
      expect(await cluster.publish(0)).toBe(false);
      await parted;
      await until('it is one of them again', () => cluster.publish(0));
    },
    TIME_MS,
  );

  it(
    'a full disk turns JetStream of a node off; with room and a start of the node it is back',
    async () => {
      await using cluster = await Cluster.start(made);
      const [disk] = cluster.brokers.disks;
      if (disk === undefined) throw new Error('each node has one');
      await disk.fill();
      await until('the others go on without it', async () => {
        const isStored = await cluster.publish(1, 1_000);
        const { cluster: group } = await cluster.manager.streams.info('S');
        const offline = group?.replicas?.find(({ name }) => name === 'n0')?.current === false;
        return isStored && group?.leader !== 'n0' && offline;
      });
      await disk.free();
      await cluster.inflict(STORES['fill disk of broker'], { target: 0, lastsMs: 100 });
      await until('it has caught up', async () => {
        const { cluster: group } = await cluster.manager.streams.info('S');
        return group?.replicas?.every(({ current }) => current) === true;
      });
    },
    TIME_MS,
  );
});

/** Three nodes with a stream, a consumer and a bucket, and a connection to each node. */
class Cluster implements AsyncDisposable {
  private constructor(
    readonly brokers: Brokers,
    private readonly at: readonly NatsConnection[],
    readonly manager: JetStreamManager,
  ) {}

  static async start(options: { readonly networks: boolean; readonly diskMegabytes: number }): Promise<Cluster> {
    const brokers = await startBrokers({ nodes: 3, workers: 0, ...options });
    const at = await Promise.all(
      brokers.nodes.map(({ url: servers }) =>
        connect({ servers, ignoreClusterUpdates: true, maxReconnectAttempts: -1, reconnectTimeWait: 100 }),
      ),
    );
    // By a node that no test cuts off.
    const manager = await jetstreamManager(at[1] as NatsConnection, { checkAPI: false });
    await until('its streams are there', async () => {
      await manager.streams.add({ name: 'S', subjects: ['s'], num_replicas: 3 });
      await manager.streams.add({ name: 'KV_m', subjects: ['$KV.m.>'], num_replicas: 3 });
      return manager.consumers.add('S', { durable_name: 'c', num_replicas: 3 });
    });
    return new Cluster(brokers, at, manager);
  }

  async inflict(doing: Doing, fault: Partial<PlannedFault> = {}): Promise<string> {
    const targets = { brokers: this.brokers, crew: { workers: [] } } as unknown as Targets;
    const planned = {
      at: 0,
      kind: 'kill broker',
      target: 0,
      lastsMs: 0,
      isRenamed: false,
      jumpMs: 0,
      peer: 0,
      ...fault,
    } as const;
    return String(await doing(targets, planned));
  }

  async leaders(): Promise<(string | undefined)[]> {
    return Promise.all(STREAMS.map(async (name) => (await this.manager.streams.info(name)).cluster?.leader));
  }

  /** Whether it was acknowledged. */
  async publish(node: number, bytes = 10): Promise<boolean> {
    const js = jetstream(this.at[node] as NatsConnection, { timeout: SHORT_MS });
    return js.publish('s', 'x'.repeat(bytes)).then(
      () => true,
      () => false,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.at.map((nc) => nc.close()));
    await this.brokers[Symbol.asyncDispose]();
  }
}
