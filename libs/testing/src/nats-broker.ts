import { mkdir, readFile, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { packageRoot } from '#config';
import { findNatsServer } from '#jetstream';
import { hostEnv } from './host-env.js';
import { spawnOwned, type OwnedProcess } from './owned-process.js';
import { tempDir } from './temp-dir.js';
import { until } from './until.js';

export interface TestBrokerOptions {
  /** Unset = a temp folder that is removed with the broker. */
  readonly storeDir?: string;
  /** Unset = any free port. */
  readonly port?: number;
  /** Configuration in addition to the flags of every test broker - default: none. */
  readonly config?: { readonly file: string; readonly env?: NodeJS.ProcessEnv };
}

export interface TestBroker extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly storeDir: string;
  /** Process id of the current nats-server. */
  readonly pid: number;
  kill9(): Promise<void>;
  stop(): Promise<void>;
  /** Restarts it on the same port and store. It may be stopped already. */
  restart(): Promise<void>;
}

/** A real nats-server with JetStream, without our supervision. */
export async function startBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  const binary = await findNatsServer({ env: hostEnv(), packageRoot: packageRoot(), log: console.error });
  const scratch = await tempDir('broker');
  const storeDir = options.storeDir ?? join(scratch.path, 'store');
  const start = (port: number | undefined): Promise<Life> =>
    startLife({ binary, storeDir, portsDir: join(scratch.path, 'ports'), port, config: options.config });
  let current: Life;
  try {
    current = await start(options.port);
  } catch (error) {
    await scratch.remove();
    throw error;
  }
  const { port } = current;
  const stop = async () => {
    await current.process.stop();
  };
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    storeDir,
    get pid() {
      return current.process.pid;
    },
    stop,
    async kill9() {
      await current.process.killGroup9();
    },
    async restart() {
      await stop();
      current = await start(port);
    },
    async [Symbol.asyncDispose]() {
      await stop();
      await scratch.remove();
    },
  };
}

interface Life {
  readonly process: OwnedProcess;
  readonly port: number;
}

interface LifeOptions {
  readonly binary: string;
  readonly storeDir: string;
  readonly portsDir: string;
  readonly port: number | undefined;
  readonly config: TestBrokerOptions['config'];
}

async function startLife({ binary, storeDir, portsDir, port, config }: LifeOptions): Promise<Life> {
  await rm(portsDir, { recursive: true, force: true });
  await mkdir(portsDir, { recursive: true });
  const flags = ['-a', '127.0.0.1', '-p', String(port ?? -1), '-js', '-sd', storeDir, '--ports_file_dir', portsDir];
  const args = config === undefined ? flags : [...flags, '-c', config.file];
  const owned = await spawnOwned({ command: binary, args, env: config?.env ?? {}, cwd: portsDir });
  let ended = false;
  void owned.exited.then(() => (ended = true));
  const portsFile = join(portsDir, `${basename(binary)}_${owned.pid}.ports`);
  const ready = await until('nats-server is ready', async () => ended || readPort(portsFile));
  if (ready === true) throw new Error(`nats-server ended instead of getting ready; its output:\n${owned.output()}`);
  return { process: owned, port: ready };
}

async function readPort(portsFile: string): Promise<number> {
  const { nats } = JSON.parse(await readFile(portsFile, 'utf8')) as { nats: string[] };
  return Number(new URL(nats[0] ?? '').port);
}
