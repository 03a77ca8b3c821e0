import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packageRoot } from '#config';
import {
  startFaultProxy,
  startService,
  tempDir,
  type TempDir,
  type FaultProxy,
  type ProcessEnd,
  type ServiceProcess,
} from '#testing';
import type { ChaosAgent } from './agent.js';
import { networkName, type Brokers } from './brokers.js';
import type { Dice } from './dice.js';
import type { Span } from './history.js';
import type { Times } from './times.js';
import { WallClock } from './wall-clock.js';

const WORKER = join(packageRoot(), 'test/chaos/handler-worker.mjs');
/** Of the output of a process, where it is evidence. */
const TOLD_LINES = 8;

/**
 * How far beside the machine's a host's clock goes at most. Of guards by less: their holders are promised what they were
 * promised as long as the guards' clocks agree within a small part of a task's time to live.
 */
export const CLOCKS_APART_MS = { worker: 900, ingress: 900, guard: 200 } as const;

// Its sessions get far more at once than a person would say, and nothing of it is to be dropped.
const AGENT = {
  maxQueueSize: 'unlimited',
  turnTimeoutMs: 8_000,
  abortGraceMs: 1_000,
  backoffInitialMs: 200,
  backoffMaxMs: 2_000,
};
const SETTINGS = { log: { level: 'warn' }, agents: { main: AGENT, hands: AGENT } };

/** One process, from its start to its end. */
export interface Life {
  readonly name: string;
  readonly worker?: string;
  readonly startedAt: number;
  endedAt?: number;
  readonly stopped: Span[];
  /** Nothing got through from it to the broker's leaders, or back. */
  readonly cutOff: Span[];
  toldToStopAt?: number;
  readonly service: ServiceProcess;
  readonly clock: WallClock;
}

/** The place of one process: when its process is gone, another one takes it. */
export class Seat {
  private generation = 0;
  private names = 0;
  current: Life | undefined;

  constructor(
    private readonly crew: Crew,
    readonly role: 'worker' | 'ingress' | 'guard',
    readonly target: number,
    /** On its way to the broker; only when that has one node. */
    readonly link: FaultProxy | undefined,
    readonly clock: WallClock,
  ) {}

  /** Starts a process; its predecessor may still run when the name is a new one. */
  async start(isRenamed = false): Promise<void> {
    if (isRenamed) this.names++;
    const id = `${this.role}-${this.target}${this.names === 0 ? '' : `-${this.names}`}`;
    const name = `${id}#${++this.generation}`;
    this.current = await this.crew.start(this, id, name);
  }
}

export interface CrewOptions {
  readonly times: Times;
  readonly brokers: Brokers;
  readonly workers: number;
  readonly ingresses: number;
  readonly guards: number;
  readonly agent: Pick<ChaosAgent, 'url' | 'envFor'>;
  /** Picks the node that a process is told of. */
  readonly dice: Dice;
  /** How far the clocks of the hosts are beside each other. */
  readonly clockDice: Dice;
}

/** All our processes: those that run, and what is known of those that ran. */
export class Crew implements AsyncDisposable {
  readonly lives: Life[] = [];
  /** Processes that ended though the run did not end them. */
  readonly mishaps: string[] = [];
  readonly workers: Seat[] = [];
  readonly ingresses: Seat[] = [];
  readonly guards: Seat[] = [];
  private readonly expected = new Set<Life>();

  private constructor(
    private readonly options: CrewOptions,
    private readonly dir: TempDir,
  ) {}

  static async start(options: CrewOptions): Promise<Crew> {
    const dir = await tempDir('chaos');
    const crew = new Crew(options, dir);
    try {
      const { agents } = SETTINGS;
      const settings = {
        ...{ ...SETTINGS, ...options.times.settings, nats: { replicas: options.brokers.nodes.length } },
        agents: { ...agents, main: { ...agents.main, url: options.agent.url } },
      };
      await writeFile(join(dir.path, 'lanekeeper.json'), JSON.stringify(settings));
      await crew.seat('worker', crew.workers, options.workers);
      await crew.seat('ingress', crew.ingresses, options.ingresses);
      await crew.seat('guard', crew.guards, options.guards);
      for (const seat of crew.ingresses) await seat.start();
      for (const seat of crew.guards) await seat.start();
      await Promise.all(crew.workers.map((seat) => seat.start()));
      return crew;
    } catch (error) {
      await crew[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where requests can go now. */
  get urls(): string[] {
    return urlsOf(this.ingresses);
  }

  get guardUrls(): string[] {
    return urlsOf(this.guards);
  }

  private async seat(role: Seat['role'], seats: Seat[], count: number): Promise<void> {
    const [node, ...more] = this.options.brokers.nodes;
    for (let target = 0; target < count; target++) {
      const link = node === undefined || more.length > 0 ? undefined : await startFaultProxy(node.port);
      const usualMs = Math.round((2 * this.options.clockDice.next() - 1) * CLOCKS_APART_MS[role]);
      const clock = new WallClock(join(this.dir.path, `${role}-${target}.clock`), usualMs);
      seats.push(new Seat(this, role, target, link, clock));
    }
  }

  async start({ role, target, link, clock }: Seat, id: string, name: string): Promise<Life> {
    const { brokers, agent, dice } = this.options;
    // The others listen where only this machine reaches them, so they stay in its network.
    const network = role === 'worker' ? brokers.networks?.of(networkName(role, target)) : undefined;
    const startedAt = Date.now();
    const service = await startService({
      ...(role === 'worker' ? { program: WORKER, args: [] } : { args: [role] }),
      cwd: this.dir.path,
      through: network?.through ?? [],
      env: {
        LANEKEEPER_NATS_URL: link?.url ?? dice.pick(brokers.nodes).url,
        LANEKEEPER_HTTP_PORT: '0',
        LANEKEEPER_CONFIG: join(this.dir.path, 'lanekeeper.json'),
        ...clock.env,
        ...(role === 'worker' ? { LANEKEEPER_WORKER_ID: id, ...agent.envFor(name) } : {}),
      },
    });
    const life: Life = {
      ...{ name, startedAt, stopped: [], cutOff: [], service, clock },
      ...(role === 'worker' ? { worker: id } : {}),
    };
    this.lives.push(life);
    void service.exited.then((end) => {
      life.endedAt ??= Date.now();
      if (!this.expected.has(life))
        this.mishaps.push(`${name} ended by itself (${describeEnd(end)}): ${tail(service)}`);
    });
    return life;
  }

  async kill(life: Life): Promise<void> {
    this.expected.add(life);
    // Killed twice when its successor did not come up: what counts is the first time.
    life.endedAt ??= Date.now();
    await life.service.killGroup9();
  }

  /** SIGTERM, and its end, which has to be a clean one. */
  async stop(life: Life): Promise<void> {
    this.expected.add(life);
    life.toldToStopAt = Date.now();
    const end = await life.service.stop().catch((error: unknown) => void this.mishaps.push(`${life.name}: ${error}`));
    if (end !== undefined && end.code !== 0) {
      this.mishaps.push(`${life.name} was told to stop and ended with ${describeEnd(end)}: ${tail(life.service)}`);
    }
  }

  /** What the workers that run said last. */
  lastWords(): string[] {
    return this.workers.flatMap(({ current }) =>
      current?.endedAt === undefined && current !== undefined
        ? [`${current.name} said last: ${tail(current.service)}`]
        : [],
    );
  }

  async stopAll(): Promise<void> {
    await Promise.all(this.lives.filter(({ endedAt }) => endedAt === undefined).map((life) => this.stop(life)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopAll();
    for (const { link } of [...this.workers, ...this.ingresses, ...this.guards]) await link?.close();
    await this.dir.remove();
  }
}

function urlsOf(seats: readonly Seat[]): string[] {
  return seats.flatMap(({ current }) =>
    current?.endedAt === undefined && current?.service.url !== undefined ? [current.service.url] : [],
  );
}

function describeEnd({ code, signal }: ProcessEnd): string {
  return signal === null ? `exit code ${code}` : signal;
}

function tail(service: ServiceProcess): string {
  return service.output().trim().split('\n').slice(-TOLD_LINES).join(' | ');
}
