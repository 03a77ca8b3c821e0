import 'reflect-metadata';
import { Command } from 'commander';
import { serviceUrl } from '#config';
import { runProcess, runRole } from '#roles';
import { ApiClient } from './operators/api-client.js';
import { addDeadCommand } from './operators/dead-command.js';
import { addRepairCommand } from './repair/repair-command.js';
import { addSettingsCommand } from './settings/settings-command.js';
import { addTasksCommand } from './operators/tasks-command.js';
import { addWorkersCommand } from './operators/workers-command.js';

/**
 * `lanekeeper`: each role by its name, and `up` for everything in one process. A role's code is loaded after its settings
 * are checked: a mistake in them is told at once.
 */
const program = new Command('lanekeeper')
  .description('A durable turn broker for AI agents: every session serial, all sessions parallel')
  .showHelpAfterError();

program
  .command('up')
  .description(
    'ingress, worker and guard in one process, with an embedded nats-server unless LANEKEEPER_NATS_URL is set; also what runs without a command',
  )
  .action(async () => {
    await runProcess('up', async (context) => (await import('./start-up.js')).startUp(context));
  });

program
  .command('ingress')
  .description('accepts messages over HTTP')
  .action(async () => {
    await runRole('ingress', async (context) => (await import('#ingress')).startIngress(context));
  });

program
  .command('worker')
  .description('runs turns')
  .action(async () => {
    await runRole('worker', async (context) => (await import('#worker')).startWorker(context));
  });

program
  .command('guard')
  .description('lets at most one run have a task, and none after a failure without an approval')
  .action(async () => {
    await runRole('guard', async (context) => (await import('#guard')).startGuard(context));
  });

program
  .command('demo')
  .description('a long question and a quick one, with one queue and with lanes, for real, in 15 seconds')
  .action(async () => {
    const { runDemo } = await import('./demo/start-demo.js');
    await runDemo((line) => console.log(line));
  });

const api = (): ApiClient => new ApiClient(serviceUrl());
const print = (text: string): void => console.log(text);

addDeadCommand(program, api, print);
addTasksCommand(program, api, print);
addWorkersCommand(program, api, print);
addSettingsCommand(
  program,
  async (...asked) => (await import('./settings/open-settings.client.js')).openSettings(...asked),
  print,
);
addRepairCommand(program, async () => (await import('./repair/open-repair.client.js')).openInboxToRepair(), {
  print,
  isInteractive: process.stdin.isTTY && process.stdout.isTTY,
});

try {
  // No default command: an unknown word would be one argument too many for it, and not a command that there is not.
  const args = process.argv.slice(2);
  await program.parseAsync(args.length === 0 ? ['up'] : args, { from: 'user' });
} catch (error) {
  process.stderr.write(`lanekeeper: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode ||= 1;
}
