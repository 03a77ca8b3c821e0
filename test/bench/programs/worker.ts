import 'reflect-metadata';
import { setTimeout as pause } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { OnTurn } from '#agents';
import { runRole } from '#roles';
import { startWorker } from '#worker';

/** The worker as a user builds it, with an agent that does nothing; for how long - ms - stands in the first argument. */
const turnMs = Number(process.argv[2] ?? 0);

@Injectable()
class NoopAgent {
  @OnTurn('main')
  answer(): Promise<void> | undefined {
    return turnMs === 0 ? undefined : pause(turnMs);
  }
}

await runRole('worker', (context) => startWorker({ ...context, providers: [NoopAgent] }));
