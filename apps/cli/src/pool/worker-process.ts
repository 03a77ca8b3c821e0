import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

/**
 * One `lanekeeper worker` as a child that does not outlive us, however we end. It runs under a shell that holds a pipe from
 * us: each line on it is the name of a signal for the worker, and when the pipe closes the worker is killed, also one whose
 * event loop hangs, so that no turn of it goes on. Both are in a process group of their own: a Ctrl-C in the terminal would
 * otherwise reach the worker as well as our own word to stop, and a second signal ends it at once.
 *
 * As with the embedded broker: fd 3 is the pipe, since a background job's standard input is /dev/null.
 */
const SHELL = `
exec 3<&0 </dev/null
"$@" 3<&- &
worker=$!
echo "pid $worker"
exec >/dev/null 2>&1
( while read -r signal <&3; do kill -s "$signal" "$worker"; done; kill -s KILL "$worker" ) &
reader=$!
exec 3<&-
wait "$worker"; code=$?
kill -s KILL "$reader"
exit "$code"
`;

const PID_LINE = /^pid (\d+)$/;
/** The line that a worker prints when it reads its shards. */
const READY_LINE = 'ready';

export interface WorkerProcessOptions {
  /** `LANEKEEPER_WORKER_ID` of it. */
  readonly id: string;
  readonly env: NodeJS.ProcessEnv;
  readonly onPid: (pid: number) => void;
  readonly onReady: () => void;
  /** Whole lines that it prints. */
  readonly onOutput: (line: string) => void;
  /** Whole lines of its log, and whatever else it says on standard error. */
  readonly onLog: (line: string) => void;
}

export interface WorkerProcess {
  /** Resolves with a few words when the worker has ended. */
  readonly exited: Promise<string>;
  /** It gives its shards away, lets its turns end within the drain budget, and ends. */
  terminate(): void;
  kill(): void;
}

/** Starts a worker on the settings of this process: same folder, same file, same variables but for those of `env`. */
export function spawnWorker({ id, env, ...told }: WorkerProcessOptions): WorkerProcess {
  const program = fileURLToPath(new URL('../main.js', import.meta.url));
  // Two processes cannot listen for one debugger.
  const flags = process.execArgv.filter((flag) => !flag.startsWith('--inspect'));
  const command = [process.execPath, ...flags, program, 'worker'];
  const shell = spawn('/bin/sh', ['-c', SHELL, 'worker-guard', ...command], {
    env: { ...env, LANEKEEPER_WORKER_ID: id },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  // A broken pipe means that the shell has ended; the `exit` event reports that.
  shell.stdin.on('error', () => {});
  onLine(shell.stdout, (line) => {
    const pid = PID_LINE.exec(line)?.[1];
    if (pid !== undefined) told.onPid(Number(pid));
    else if (line === READY_LINE) told.onReady();
    else told.onOutput(line);
  });
  onLine(shell.stderr, told.onLog);
  return {
    exited: new Promise((resolve) => {
      shell.once('error', (error) => resolve(error.message));
      shell.once('exit', (code, signal) => resolve(describeEnd(code, signal)));
    }),
    terminate: () => void shell.stdin.write('TERM\n'),
    kill: () => void shell.stdin.end(),
  };
}

function onLine(stream: Readable, listener: (line: string) => void): void {
  createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', listener);
}

/** A shell reports the end by a signal as 128 plus its number. */
export function describeEnd(code: number | null, signal: NodeJS.Signals | null): string {
  if (code === null) return `its guard was ended by ${signal}`;
  const [name] = Object.entries(constants.signals).find(([, number]) => number === code - 128) ?? [];
  return name === undefined ? `ended with exit code ${code}` : `ended by ${name}`;
}
