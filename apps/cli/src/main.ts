#!/usr/bin/env node
import 'reflect-metadata';
import { Command } from 'commander';
import { runProcess, runRole } from '#roles';

/** `lanekeeper`: each role by its name, and `up` for everything in one process. */
const program = new Command('lanekeeper')
  .description('A durable turn broker for AI agents: every session serial, all sessions parallel')
  .showHelpAfterError();

program
  .command('up', { isDefault: true })
  .description('ingress and worker in one process, with an embedded nats-server unless LANEKEEPER_NATS_URL is set')
  .action(async () => {
    const { startUp } = await import('./start-up.js');
    await runProcess('up', startUp);
  });

program
  .command('ingress')
  .description('takes messages over HTTP')
  .action(async () => {
    const { startIngress } = await import('#ingress');
    await runRole('ingress', startIngress);
  });

program
  .command('worker')
  .description('runs turns')
  .action(async () => {
    const { startWorker } = await import('#worker');
    await runRole('worker', startWorker);
  });

await program.parseAsync();
