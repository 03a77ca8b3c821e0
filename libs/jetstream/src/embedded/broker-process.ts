import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile, readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { LanekeeperError } from '#contracts';
import type { BrokerFolder } from './broker-folder.js';

/**
 * One run of the embedded nats-server. It runs under a shell that has a pipe from us and sends it SIGTERM when the pipe
 * closes: so it does not outlive us, however we end. Both are in a process group of their own: otherwise a Ctrl-C in the
 * terminal would end the broker while our turns still drain into it.
 *
 * The shell's parts: fd 3 is the pipe, since a background job's standard input is /dev/null; the shell's own `read` reads it,
 * since a `cat` would survive the kill of its subshell.
 */
const SHELL = `
exec 3<&0 </dev/null
log=$1 pid_file=$2; shift 2
"$@" >>"$log" 2>&1 3<&- &
broker=$!
echo "$broker" >"$pid_file"
echo "$broker"
( while read -r _ <&3; do :; done; kill -TERM "$broker" ) >/dev/null 2>&1 &
reader=$!
exec 3<&- >/dev/null
wait "$broker"; code=$?
kill -KILL "$reader"
exit "$code"
`;

/** The server reads a store of many million messages before it opens the port. */
const READY_WITHIN_MS = 120_000;
const STOP_WITHIN_MS = 30_000;
const LOOK_AGAIN_MS = 10;
const LOG_LINES_IN_ERROR = 15;

export interface BrokerProcessOptions {
  readonly binary: string;
  readonly configFile: string;
  readonly folder: BrokerFolder;
  /** `undefined` = any free one. */
  readonly port: number | undefined;
}

export class BrokerProcess {
  /** Fulfilled with a short reason when the server has ended. */
  readonly exited: Promise<string>;

  private constructor(
    private readonly shell: ChildProcessByStdio<Writable, Readable, null>,
    readonly pid: number,
    readonly port: number,
    exited: Promise<string>,
  ) {
    this.exited = exited;
  }

  /** Resolves when clients can connect. */
  static async start(options: BrokerProcessOptions): Promise<BrokerProcess> {
    const { binary, configFile, folder, port } = options;
    // A ports file is named by its pid, and pids are reused.
    for (const name of await readdir(folder.portsDir)) await rm(join(folder.portsDir, name), { force: true });
    const logStart = await fileSize(folder.logFile);
    const flags = ['-c', configFile, '-p', String(port ?? -1), '-sd', folder.path, '-P', folder.pidFile];
    const command = [binary, ...flags, '-l', folder.logFile, '--ports_file_dir', folder.portsDir];
    const shell = spawn('/bin/sh', ['-c', SHELL, 'nats-server-guard', folder.logFile, folder.pidFile, ...command], {
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
    });
    // A broken pipe means that the shell has ended, which `exit` reports.
    shell.stdin.on('error', () => {});
    const exited = new Promise<string>((resolve) => {
      shell.once('error', (error) => resolve(error.message));
      shell.once('exit', (code, signal) => resolve(describeEnd(code, signal)));
    });

    const end: { reason?: string } = {};
    void exited.then((reason) => (end.reason = reason));
    const [first] = (await Promise.race([once(shell.stdout, 'data'), exited.then(() => [''])])) as [Buffer | string];
    const pid = Number(String(first).trim());
    const deadline = performance.now() + READY_WITHIN_MS;
    while (end.reason === undefined && performance.now() < deadline) {
      const ready = await readPort(join(folder.portsDir, `${basename(binary)}_${pid}.ports`));
      if (ready !== undefined) return new BrokerProcess(shell, pid, ready, exited);
      await delay(LOOK_AGAIN_MS);
    }

    shell.stdin.end();
    throw new LanekeeperError(
      'broker_start_failed',
      `embedded nats-server: ${end.reason ?? `not ready within ${READY_WITHIN_MS} ms`}; ` +
        `the end of ${folder.logFile}:\n${await tail(folder.logFile, logStart)}\n` +
        `Fix what the last line says${port === undefined ? '' : ` (port ${port} must be free)`}, then start again; ` +
        'or set LANEKEEPER_NATS_URL to a broker that runs already.',
    );
  }

  /** Stops it gracefully and waits for its end. */
  async stop(): Promise<void> {
    this.shell.stdin.end();
    const deadline = new AbortController();
    const hangs = delay(STOP_WITHIN_MS, 'hangs' as const, { signal: deadline.signal }).catch(() => 'ended' as const);
    if ((await Promise.race([this.exited, hangs])) === 'hangs' && this.shell.pid !== undefined) {
      process.kill(-this.shell.pid, 'SIGKILL');
      await this.exited;
    }
    deadline.abort();
  }
}

function describeEnd(code: number | null, signal: NodeJS.Signals | null): string {
  if (code === null) return `its shell was ended by ${signal}`;
  return code > 128 ? `ended by signal ${code - 128}` : `ended with exit code ${code}`;
}

/** `undefined` while the file is missing or only half written. */
async function readPort(portsFile: string): Promise<number | undefined> {
  try {
    const { nats } = JSON.parse(await readFile(portsFile, 'utf8')) as { nats?: string[] };
    return nats?.[0] === undefined ? undefined : Number(new URL(nats[0]).port);
  } catch {
    return undefined;
  }
}

async function fileSize(path: string): Promise<number> {
  const file = await open(path, 'r').catch(() => undefined);
  if (file === undefined) return 0;
  try {
    return (await file.stat()).size;
  } finally {
    await file.close();
  }
}

async function tail(logFile: string, fromByte: number): Promise<string> {
  const text = (await readFile(logFile).catch(() => Buffer.alloc(0))).subarray(fromByte).toString();
  return text.trimEnd().split('\n').slice(-LOG_LINES_IN_ERROR).join('\n') || '(no line)';
}
