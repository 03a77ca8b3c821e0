import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DEFAULT_SHARDS, Names, taskList, taskView, type TaskView } from '#contracts';
import { GuardClient, type TaskEvent } from '#guards';
import type { BrokerConnection, KeyBucket } from '#jetstream';
import { connectedBroker, startService, tempDir, until, type ServiceProcess, type TestBroker } from '#testing';
import type { ApiAnswer } from './api-client.js';
import { expectDocumented } from './documented.js';

export const names = new Names('lk', DEFAULT_SHARDS);
/** For calls that must be answered, however busy the machine is. */
export const PATIENT = { withinMs: 20_000 };

/** Talks to one replica of the guard as any program would. */
export class TaskApi {
  constructor(private readonly addressOf: () => string) {}

  /** Below the replica's address. */
  path(key: string, operation?: string): string {
    const path = `/v1/tasks/${encodeURIComponent(key)}`;
    return operation === undefined ? path : `${path}/${operation}`;
  }

  acquire(key: string, request: object): Promise<ApiAnswer> {
    return this.post(this.path(key, 'acquire'), request);
  }

  renew(key: string, request: object): Promise<ApiAnswer> {
    return this.post(this.path(key, 'renew'), request);
  }

  /** With a token by its holder, with `by` by an operator. */
  release(key: string, request: object): Promise<ApiAnswer> {
    return this.post(this.path(key, 'release'), request);
  }

  approve(key: string, by: string): Promise<ApiAnswer> {
    return this.post(this.path(key, 'approve-retry'), { by });
  }

  /** `undefined` when nothing stands there. */
  async show(key: string): Promise<TaskView | undefined> {
    const { status, body } = await this.get(this.path(key));
    if (status === 404) return undefined;
    if (status !== 200) throw new Error(`${key} cannot be shown: ${status} ${JSON.stringify(body)}`);
    expectDocumented(taskView, body);
    return body as TaskView;
  }

  async list(query = ''): Promise<{ readonly tasks: readonly TaskView[]; readonly counts: Record<string, number> }> {
    const { status, body } = await this.get(`/v1/tasks${query}`);
    if (status !== 200) throw new Error(`tasks cannot be listed: ${status} ${JSON.stringify(body)}`);
    expectDocumented(taskList, body);
    return body;
  }

  async get(path: string): Promise<ApiAnswer> {
    return read(await fetch(this.addressOf() + path));
  }

  async post(path: string, body: object, signal?: AbortSignal): Promise<ApiAnswer> {
    return read(
      await fetch(this.addressOf() + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
        ...(signal === undefined ? {} : { signal }),
      }),
    );
  }
}

export interface GuardReplica {
  readonly service: ServiceProcess;
  readonly url: string;
  readonly api: TaskApi;
  kill9(): Promise<void>;
  /** Starts it again, on another port, after it has ended. */
  again(): Promise<void>;
}

export interface Guards extends AsyncDisposable {
  readonly broker: TestBroker;
  /** The test's own. */
  readonly connection: BrokerConnection;
  /** What the guards write, for looks and for foreign writes. */
  readonly bucket: KeyBucket;
  /** Over NATS: whichever replica. */
  readonly client: GuardClient;
  readonly replicas: readonly GuardReplica[];
  /** One of them, in turn. */
  replica(n: number): GuardReplica;
  start(): Promise<GuardReplica>;
  /** The stored events of a task, oldest first, once there are so many: they are told unawaited. */
  eventsOf(key: string, atLeast: number): Promise<TaskEvent[]>;
}

/** Holders that are gone are looked for often, so that a test does not wait for the five seconds of real life. */
const SETTINGS = { guard: { sweepMs: 200 }, log: { level: 'warn' } };

/** A broker, and as many replicas of the guard as the test wants, each a process of its own. */
export async function startGuards(count: number): Promise<Guards> {
  const connected = await connectedBroker();
  const { broker, connection, reader } = connected;
  const dir = await tempDir('guards');
  const started: ServiceProcess[] = [];
  const replicas: GuardReplica[] = [];
  const dispose = async (): Promise<void> => {
    await Promise.all(started.map((service) => service.stop()));
    await connected[Symbol.asyncDispose]();
    await dir.remove();
  };
  const config = join(dir.path, 'lanekeeper.json');
  const env = { LANEKEEPER_NATS_URL: broker.url, LANEKEEPER_HTTP_PORT: '0', LANEKEEPER_CONFIG: config };
  const startOne = async (): Promise<ServiceProcess> => {
    const service = await startService({ args: ['guard'], cwd: dir.path, env });
    started.push(service);
    return service;
  };
  const start = async (): Promise<GuardReplica> => {
    const replica = new Replica(await startOne(), startOne);
    replicas.push(replica);
    return replica;
  };
  try {
    await writeFile(config, JSON.stringify(SETTINGS));
    const starts = await Promise.allSettled(Array.from({ length: count }, start));
    const failed = starts.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    ...{ broker, connection, replicas, start },
    bucket: connected.bucket(names.tasksBucket),
    client: new GuardClient(connection, names),
    replica: (n) => replicas[n % replicas.length] as GuardReplica,
    eventsOf: (key, atLeast) =>
      until(`${atLeast} events of ${key} are stored`, async () => {
        const events: TaskEvent[] = [];
        for await (const { data } of reader.messagesOf(names.eventsStream, names.taskEventsSubject(key), 1)) {
          events.push(JSON.parse(Buffer.from(data).toString()) as TaskEvent);
        }
        return events.length >= atLeast ? events : undefined;
      }),
    [Symbol.asyncDispose]: dispose,
  };
}

class Replica implements GuardReplica {
  readonly api = new TaskApi(() => this.url);

  constructor(
    public service: ServiceProcess,
    private readonly startOne: () => Promise<ServiceProcess>,
  ) {}

  get url(): string {
    return this.service.url ?? '';
  }

  async kill9(): Promise<void> {
    await this.service.killGroup9();
  }

  async again(): Promise<void> {
    this.service = await this.startOne();
  }
}

async function read(response: Response): Promise<ApiAnswer> {
  return { status: response.status, headers: response.headers, body: await response.json() };
}
