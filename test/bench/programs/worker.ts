import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import { OnTurn } from '#agents';
import { runRole } from '#roles';
import { startWorker } from '#worker';

/** The worker as a user builds it, with an agent that does nothing. */
@Injectable()
class NoopAgent {
  @OnTurn('main')
  answer(): void {}
}

await runRole('worker', (context) => startWorker({ ...context, providers: [NoopAgent] }));
