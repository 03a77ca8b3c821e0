import { EventEmitter } from 'node:events';
import { jetstream, jetstreamManager, type JetStreamClient, type JetStreamManager } from '@nats-io/jetstream';
import { connect, type ConnectionOptions, type NatsConnection } from '@nats-io/transport-node';
import { natsConnectOptions } from '#config';
import { LanekeeperError, MAX_RECORD_BYTES } from '#contracts';
import type { Logger } from '#telemetry';
import { DialPace } from './dial-pace.js';
import { patiently } from './patience.client.js';

/** Oldest server on which the behaviour that we rely on was measured (batched direct get, per-message TTL, strict mode). */
const OLDEST_SERVER: readonly [number, number] = [2, 12];

const HEADER_ROOM_BYTES = 16 * 1024;
const RECONNECT_WAIT_MS = 250;
/** Two missed pings end a half-open connection; the default of two minutes would stall every lane for four. */
const PING_INTERVAL_MS = 5_000;
const API_TIMEOUT_MS = 5_000;

export interface BrokerConnectionOptions {
  readonly url: string;
  /** Shown in the broker's connection list. */
  readonly name: string;
  readonly log: Logger;
  /** Ends the wait for a broker that does not answer yet. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * One connection to the broker that never gives up: it waits for the first connect, reconnects for ever, and says
 * whether it is up, so that callers can refuse work at once instead of filling the client's send buffer (the client sends
 * that buffer after the reconnect, long after the caller of the work was told 503).
 */
export class BrokerConnection {
  /** Prefix of the JetStream API: a different one for a client with a domain. */
  readonly apiPrefix: string;
  private up = true;
  private isClosing = false;
  /** Each function ends one wait for the connection. */
  private readonly waiting = new Set<() => void>();
  private back: Promise<void> | undefined;
  private readonly changes = new EventEmitter<{ up: []; down: [] }>().setMaxListeners(0);

  private constructor(
    readonly nc: NatsConnection,
    readonly js: JetStreamClient,
    readonly jsm: JetStreamManager,
    private readonly log: Logger,
  ) {
    this.apiPrefix = js.getOptions().apiPrefix ?? '$JS.API';
    void this.follow();
    void nc.closed().then(() => this.endWaits());
  }

  static async open(options: BrokerConnectionOptions): Promise<BrokerConnection> {
    const nc = await connectPatiently(options);
    const problem = unfitness(nc.info?.version ?? '0.0.0', nc.info?.max_payload ?? 0);
    if (problem !== undefined) {
      await nc.close();
      throw problem;
    }
    const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: API_TIMEOUT_MS });
    return new BrokerConnection(nc, jetstream(nc, { timeout: API_TIMEOUT_MS }), jsm, options.log);
  }

  get isUp(): boolean {
    return this.up && !this.nc.isClosed();
  }

  /** Duration of a round trip - ms. Rejects when the broker does not answer. */
  roundTrip(): Promise<number> {
    return this.nc.rtt();
  }

  onDown(listener: () => void): () => void {
    this.changes.on('down', listener);
    return () => this.changes.off('down', listener);
  }

  onUp(listener: () => void): () => void {
    this.changes.on('up', listener);
    return () => this.changes.off('up', listener);
  }

  /**
   * Resolves when the connection is up or closed for good, or after `withinMs`. During an outage callers wait again and again,
   * for as long as it lasts: those without `withinMs` share one promise, and one whose time is over leaves nothing behind.
   */
  whenUp(withinMs?: number): Promise<void> {
    if (this.isUp || this.nc.isClosed()) return Promise.resolve();
    if (withinMs === undefined) return (this.back ??= new Promise((resolve) => this.waiting.add(resolve)));
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        this.waiting.delete(end);
        resolve();
      };
      const timer = setTimeout(end, withinMs);
      this.waiting.add(end);
    });
  }

  /** Resolves when the client has given up for good (e.g. its credentials were revoked); never for our own close. */
  async lost(): Promise<Error> {
    const cause = await this.nc.closed();
    if (this.isClosing) return new Promise(() => {});
    const why = cause instanceof Error ? cause.message : 'closed';
    return new LanekeeperError(
      'broker_lost',
      `the broker ended the connection for good (${why}): check its log and our credentials`,
    );
  }

  async close(): Promise<void> {
    this.isClosing = true;
    if (this.nc.isClosed()) return;
    // A drain flushes what is written. Without a broker it could not flush, and would wait for ever.
    await (this.up ? this.nc.drain().catch(() => this.nc.close()) : this.nc.close());
  }

  private async follow(): Promise<void> {
    for await (const status of this.nc.status()) {
      if (status.type === 'disconnect') {
        this.up = false;
        this.log.warn({}, 'broker connection lost, reconnecting');
        this.changes.emit('down');
      } else if (status.type === 'reconnect') {
        this.up = true;
        this.log.info({}, 'broker connection is back');
        this.changes.emit('up');
        this.endWaits();
      } else if (status.type === 'error') {
        this.log.error({ error: status.error.message }, 'broker reported an error on the connection');
      }
    }
    this.up = false;
  }

  private endWaits(): void {
    this.back = undefined;
    for (const end of [...this.waiting]) end();
    this.waiting.clear();
  }
}

async function connectPatiently({ url, name, log, signal }: BrokerConnectionOptions): Promise<NatsConnection> {
  const options = {
    ...natsConnectOptions(url),
    name,
    maxReconnectAttempts: -1,
    pingInterval: PING_INTERVAL_MS,
  };
  return patiently(() => connect({ ...options, ...atPace() }), {
    // Waiting does not fix wrong credentials.
    mayPass: (error) => !(error instanceof Error && error.name === 'AuthorizationError'),
    says: 'no broker yet, trying again until it answers',
    log,
    signal,
  });
}

/** Options of one connection, so that it dials again in time even when the wall clock is changed. */
function atPace(): Pick<ConnectionOptions, 'reconnectDelayHandler' | 'reconnectToServer'> {
  const pace = new DialPace(RECONNECT_WAIT_MS, RECONNECT_WAIT_MS, () => performance.now(), Math.random);
  return {
    reconnectDelayHandler: () => pace.nextWaitMs(),
    reconnectToServer: (servers) => {
      pace.dials(servers.length);
      // Null: the server that the client has picked.
      return null;
    },
  };
}

/** Why this broker cannot run an installation. A refused start is better than a record that never fits. */
function unfitness(version: string, maxPayload: number): LanekeeperError | undefined {
  if (!isSupported(version)) {
    return new LanekeeperError(
      'broker_too_old',
      `nats-server: found version ${version}, wanted ${OLDEST_SERVER.join('.')} or newer; start a newer server, or ` +
        'unset LANEKEEPER_NATS_URL to use the embedded one',
    );
  }
  if (maxPayload < MAX_RECORD_BYTES + HEADER_ROOM_BYTES) {
    return new LanekeeperError(
      'broker_payload_too_small',
      `max_payload of nats-server: found ${maxPayload} bytes, wanted at least ${MAX_RECORD_BYTES + HEADER_ROOM_BYTES} ` +
        '(a record and its headers); raise max_payload (its default of 1MB is enough)',
    );
  }
  return undefined;
}

function isSupported(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  return major > OLDEST_SERVER[0] || (major === OLDEST_SERVER[0] && minor >= OLDEST_SERVER[1]);
}
