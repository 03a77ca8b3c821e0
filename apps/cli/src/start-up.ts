import { join, relative } from 'node:path';
import {
  hostWorkerId,
  packageRoot,
  readConnection,
  redactUrl,
  removeConnection,
  writeConnection,
  type Settings,
} from '#config';
import { LanekeeperError } from '#contracts';
import { startGuardWithoutPort } from '#guard';
import { startIngress } from '#ingress';
import { EmbeddedBroker, findNatsServer } from '#jetstream';
import type { ProcessContext, RunningService } from '#roles';
import { startWorker } from '#worker';
import type { Logger } from '#telemetry';
import { putOwnSettings } from './settings/put-own-settings.client.js';
import { startWorkerPool } from './pool/start-worker-pool.js';

/** Broker (a child), guard, ingress, and workers (here or in children), stopped in the reverse order of their work. */
export async function startUp(
  context: ProcessContext,
  print: (text: string) => void = (text) => void process.stdout.write(text),
): Promise<RunningService> {
  const { settings, log } = context;
  await refuseSecond(settings.dataDir);
  const broker = await openBroker(settings, log);
  const started: RunningService[] = [];
  try {
    context.signal.throwIfAborted();
    const role = { ...context, natsUrl: broker.url };
    // Before anything has to work: an operator who repairs the broker's streams must find it.
    writeConnection(settings.dataDir, { natsUrl: broker.url, pid: process.pid });
    await putOwnSettings({ ...role, isShared: settings.nats.url !== undefined });
    // First: a turn may need its task at once.
    const guard = await startGuardWithoutPort({ ...role, log: log.child({ role: 'guard' }) });
    started.push(guard);
    const worker = await startWorkers({ ...role, log: log.child({ role: 'worker' }) });
    started.push(worker);
    const ingress = await startIngress({
      ...role,
      routes: [guard.routes],
      log: log.child({ role: 'ingress' }),
    });
    started.push(ingress);
    writeConnection(settings.dataDir, { natsUrl: broker.url, httpUrl: ingress.url, pid: process.pid });
    print(welcome(ingress.url, broker.description, settings.gateway.workerPool));
    return {
      url: ingress.url,
      failed: Promise.race([broker.failed, guard.failed, worker.failed, ingress.failed]),
      stop: async () => {
        removeConnection(settings.dataDir, process.pid);
        await ingress.stop();
        await worker.stop();
        await guard.stop();
        await broker.stop();
      },
    };
  } catch (error) {
    removeConnection(settings.dataDir, process.pid);
    for (const service of started.toReversed()) await service.stop().catch(() => {});
    await broker.stop();
    throw error;
  }
}

/** Workers in this process, or in as many processes of their own as `gateway.workerPool` allows. */
async function startWorkers(role: ProcessContext & { readonly natsUrl: string }): ReturnType<typeof startWorkerPool> {
  const { settings } = role;
  const pool = settings.gateway.workerPool;
  if (pool !== undefined) return startWorkerPool({ ...role, pool, env: process.env });
  return startWorker({ ...role, settings: workerSettings(settings) });
}

/** No other worker uses an embedded broker: under the same id the next start takes over at once, without a wait. */
function workerSettings(settings: Settings): Settings {
  if (settings.nats.url !== undefined || settings.worker.id !== undefined) return settings;
  return { ...settings, worker: { ...settings.worker, id: hostWorkerId() } };
}

interface Broker {
  readonly url: string;
  readonly description: string;
  /** Resolves when it has ended and cannot be brought back. */
  readonly failed: Promise<Error>;
  stop(): Promise<void>;
}

async function openBroker(settings: Settings, log: Logger): Promise<Broker> {
  if (settings.nats.url !== undefined) {
    return {
      url: settings.nats.url,
      description: redactUrl(settings.nats.url),
      failed: new Promise(() => {}),
      stop: async () => {},
    };
  }
  const root = packageRoot();
  const binary = await findNatsServer({ env: process.env, packageRoot: root, log: (line) => log.info({}, line) });
  let fail: (error: Error) => void = () => {};
  const failed = new Promise<Error>((resolve) => (fail = resolve));
  const broker = await EmbeddedBroker.start({
    onExit: (error) => fail(error),
    binary,
    dataDir: settings.dataDir,
    configFile: join(root, 'deploy', 'nats', 'embedded.conf'),
    log: (line) => log.info({ role: 'broker' }, line),
  });
  const folder = relative(process.cwd(), settings.dataDir) || settings.dataDir;
  return {
    url: broker.url,
    failed,
    description: `embedded nats-server on ${broker.url}, data in ${folder}`,
    stop: () => broker.stop(),
  };
}

const ANSWER_WITHIN_MS = 1_000;

/** Two processes on one data folder would fight for its broker. The file alone proves nothing: it survives a kill -9. */
async function refuseSecond(dataDir: string): Promise<void> {
  const other = readConnection(dataDir);
  if (other?.httpUrl === undefined || other.pid === process.pid || !isAlive(other.pid)) return;
  const answer = await fetch(`${other.httpUrl}/healthz`, { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) }).catch(
    () => undefined,
  );
  if (answer?.ok !== true) return;
  throw new LanekeeperError(
    'already_running',
    `${dataDir} is in use: found lanekeeper with pid ${other.pid} on ${other.httpUrl}; use that one, stop it, or set ` +
      'LANEKEEPER_DATA_DIR to another folder',
  );
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function welcome(url: string, broker: string, pool: Settings['gateway']['workerPool']): string {
  return [
    `Lanekeeper listens on ${url}`,
    `  broker  ${broker}`,
    ...(pool === undefined ? [] : [`  workers ${pool.minWorkers} to ${pool.maxWorkers}, each a process of its own`]),
    `  routes  ${url}/openapi.json`,
    `  try     curl -s '${url}/v1/agents/main/sessions/demo/messages?wait=30s' \\`,
    `            -H 'content-type: application/json' -d '{"text": "hello"}'`,
    '',
  ].join('\n');
}
