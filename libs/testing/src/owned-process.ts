import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { track } from './leak-check.js';

const STOP_WITHIN_MS = 40_000;

export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface OwnedProcess {
  readonly pid: number;
  readonly exited: Promise<ProcessEnd>;
  /** Standard output and standard error so far. */
  output(): string;
  /** Called with every whole line of standard output, including earlier lines. */
  onLine(listener: (line: string) => void): void;
  signal(signal: NodeJS.Signals): void;
  /** SIGKILL for the process and its group, which looks like a power cut to the program. */
  killGroup9(): Promise<ProcessEnd>;
  /** SIGTERM. Resolves when the process has ended. If it does not end in time it is killed, and the call rejects. */
  stop(): Promise<ProcessEnd>;
}

export interface OwnedProcessOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
}

/**
 * Starts a process in its own group that never outlives the test runner. A shell holds a pipe from the runner and kills
 * the group when the pipe closes. So no service or broker stays on the machine, even after a kill -9 of the runner.
 */
export function spawnOwned({ command, args, env, cwd }: OwnedProcessOptions): Promise<OwnedProcess> {
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let output = '';
  const lines = new LineSplitter();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    lines.push(text);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));

  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new Error(`cannot run ${command}: ${error.message}`, { cause: error })));
    const { pid } = child;
    if (pid === undefined) return;
    const guard = spawn('sh', ['-c', 'while read -r _; do :; done; kill -KILL "-$1"', 'test-guard', String(pid)], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    guard.unref();

    const killGroup = () => {
      try {
        process.kill(-pid, 'SIGKILL');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    };
    const untrack = track(`process ${pid} (${[command, ...args].join(' ')})`, async () => {
      killGroup();
      await exited;
    });
    // `close`, not `exit`: only then is the output complete.
    const exited = new Promise<ProcessEnd>((ended) => {
      child.once('exit', () => {
        guard.kill('SIGKILL');
        untrack();
      });
      child.once('close', (code, signal) => ended({ code, signal }));
    });

    resolve({
      pid,
      exited,
      output: () => output,
      onLine: (listener) => lines.listen(listener),
      // Signal by handle, not by number: after its end another process may have the number.
      signal: (signal) => void child.kill(signal),
      async killGroup9() {
        if (child.exitCode === null && child.signalCode === null) killGroup();
        return exited;
      },
      async stop() {
        child.kill('SIGTERM');
        child.kill('SIGCONT'); // a process that a test has stopped would not see the SIGTERM
        const patience = new AbortController();
        const late = delay(STOP_WITHIN_MS, 'late' as const, { signal: patience.signal }).catch(() => 'ended' as const);
        const end = await Promise.race([exited, late]);
        patience.abort();
        if (typeof end !== 'string') return end;
        killGroup();
        await exited;
        throw new Error(`process ${pid} did not end within ${STOP_WITHIN_MS} ms of SIGTERM; its output:\n${output}`);
      },
    });
  });
}

class LineSplitter {
  private readonly lines: string[] = [];
  private readonly listeners: ((line: string) => void)[] = [];
  private rest = '';

  push(text: string): void {
    const parts = (this.rest + text).split('\n');
    this.rest = parts.pop() ?? '';
    for (const line of parts) {
      this.lines.push(line);
      for (const listener of this.listeners) listener(line);
    }
  }

  listen(listener: (line: string) => void): void {
    for (const line of this.lines) listener(line);
    this.listeners.push(listener);
  }
}
