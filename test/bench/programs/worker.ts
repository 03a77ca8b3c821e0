import 'reflect-metadata';
import { setTimeout as pause } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Injectable } from '@nestjs/common';
import { OnTurn, type Turn } from '#agents';
import { runRole } from '#roles';
import { startWorker } from '#worker';

/**
 * The worker as a user builds it, with an agent that does nothing, for as long as the first argument says (ms) or
 * `data: {"sleepMs": n}` of its message. On SIGUSR2 it collects all garbage, and says `live-<n>` and the bytes that are left.
 */
const turnMs = Number(process.argv[2] ?? 0);

@Injectable()
class IdleAgent {
  @OnTurn('main')
  answer({ message }: Turn): Promise<void> | undefined {
    const { sleepMs = turnMs } = (message.data ?? {}) as { sleepMs?: number };
    return sleepMs === 0 ? undefined : pause(sleepMs);
  }
}

let asked = 0;
process.on('SIGUSR2', () => {
  // Only here: a flag of the command line would tell of another process than the one that users start.
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const { heapUsed, external } = process.memoryUsage();
  process.stdout.write(`live-${++asked} ${heapUsed + external}\n`);
});

await runRole('worker', (context) => startWorker({ ...context, providers: [IdleAgent] }));
