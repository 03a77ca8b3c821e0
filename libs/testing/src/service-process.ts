import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { packageRoot } from '#config';
import { compileCache } from './compile-cache.js';
import { hostEnv } from './host-env.js';
import { spawnOwned, type OwnedProcess } from './owned-process.js';

const READY_LINE = /^ready( http:\/\/\S+)?$/;
const READY_WITHIN_MS = 30_000;

export interface ServiceOptions {
  /** Default: the `lanekeeper` program. */
  readonly program?: string;
  /** Its arguments, such as `['up']`. */
  readonly args: readonly string[];
  /** Added to PATH and HOME. The service gets nothing else of the runner's environment. */
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly readyLine?: RegExp;
  /** Command prefix, for example to run it in a network namespace - default: none. */
  readonly through?: readonly string[];
}

export interface ServiceProcess extends OwnedProcess, AsyncDisposable {
  /** From the ready line. `undefined` for a role without HTTP. */
  readonly url: string | undefined;
}

/** Starts the compiled program as users do. Resolves when it prints that it is ready. */
export async function startService(options: ServiceOptions): Promise<ServiceProcess> {
  const root = packageRoot();
  const { args, env = {}, cwd, readyLine = READY_LINE, through = [] } = options;
  const { program = join(root, 'dist/apps/cli/src/main.js') } = options;
  const node = join(root, 'node_modules/.bin/node');
  const [command = node, ...rest] = [...through, node, '--enable-source-maps', program, ...args];
  const owned = await spawnOwned({
    ...{ command, args: rest },
    env: { ...hostEnv(), ...compileCache(), ...env },
    cwd,
  });
  const ready = new Promise<RegExpExecArray>((resolve) => {
    owned.onLine((line) => {
      const match = readyLine.exec(line);
      if (match !== null) resolve(match);
    });
  });
  const patience = new AbortController();
  const outcome = await Promise.race([
    ready,
    owned.exited.then(({ code, signal }) => `it ended (${signal ?? `exit code ${code}`})`),
    delay(READY_WITHIN_MS, `it was not ready within ${READY_WITHIN_MS} ms`, { signal: patience.signal }),
  ]);
  patience.abort();
  if (typeof outcome === 'string') {
    await owned.killGroup9();
    throw new Error(`lanekeeper ${args.join(' ')}: ${outcome}; its output:\n${owned.output()}`);
  }
  return {
    ...owned,
    url: outcome[1]?.trim(),
    async [Symbol.asyncDispose]() {
      await owned.stop();
    },
  };
}
