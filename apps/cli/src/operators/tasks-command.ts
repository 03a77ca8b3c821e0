import { hostname, userInfo } from 'node:os';
import { Option, type Command } from 'commander';
import { LanekeeperError, TASK_STATES, taskApproval, taskEnd, taskList, taskView } from '#contracts';
import { RefusedError, type ApiClient } from './api-client.js';
import { expectAnswer } from './expect-answer.js';
import { printable } from '../printable.js';
import { countsLine, describeTask, tableOf } from './task-report.js';

type Api = Pick<ApiClient, 'call'>;

/** `lanekeeper tasks ls | show | approve-retry | release`: which run has which task, and which tasks wait for an approval. */
export function addTasksCommand(
  program: Command,
  api: () => Api,
  print: (text: string) => void,
  now: () => number = Date.now,
): void {
  const tasks = program
    .command('tasks')
    .description('tasks of the guard: list them, let a failed one run again, end one whose holder is gone');
  const toGuard = (): Api => ({ call: (...request) => withRemedy(api().call(...request)) });

  tasks
    .command('ls')
    .description('list them, the longest unchanged first')
    .addOption(new Option('--state <state>', 'only those in this state').choices(TASK_STATES))
    .addOption(new Option('--stale', 'only those whose holder is gone').conflicts('state'))
    .option('--scope <scope>', 'only those of this session or namespace: the part of the key before `::`')
    .option('--limit <n>', 'how many at most (1 to 200)', '50')
    .option('--after <n>', 'the next page: the number that the page before names')
    .option('--json', 'as JSON')
    .action(async ({ json, stale, ...query }: Record<string, string> & { json?: true; stale?: true }) => {
      const parameters = new URLSearchParams({ ...query, ...(stale && { state: 'stale' }) });
      const answer = expectAnswer(taskList, await toGuard().call('GET', `/v1/tasks?${parameters}`));
      if (json === true) return print(JSON.stringify(answer, null, 2));
      print(answer.tasks.length === 0 ? 'no tasks' : tableOf(answer.tasks, now()));
      if (answer.next !== undefined) print(`more: --after ${answer.next}`);
      print(countsLine(answer.counts));
    });

  tasks
    .command('show <key>')
    .description('show one of them: its run, how it ended, who approved it, and its history')
    .option('--json', 'as JSON')
    .action(async (key: string, { json }: { json?: true }) => {
      const task = expectAnswer(taskView, await toGuard().call('GET', pathOf(key)));
      print(json === true ? JSON.stringify(task, null, 2) : describeTask(task, now()));
    });

  tasks
    .command('approve-retry <key...>')
    .description('allow exactly one more run of failed tasks')
    .option('--by <name>', 'your name, for the history of the task', defaultName())
    .action(async (keys: string[], { by }: { by: string }) => {
      await forEach(keys, print, async (key) => {
        const approval = expectAnswer(
          taskApproval,
          await toGuard().call('POST', `${pathOf(key)}/approve-retry`, { by }),
        );
        return `approved by ${approval.by}: the next one may run it`;
      });
    });

  tasks
    .command('release <key...>')
    .description('end tasks without their holder: a run that still works on one loses it')
    .addOption(
      new Option('--status <status>', 'how it ended: cancelled frees it, failed asks for an approval')
        .choices(['cancelled', 'failed'])
        .default('cancelled'),
    )
    .option('--by <name>', 'your name, for the history of the task', defaultName())
    .action(async (keys: string[], body: { by: string; status: string }) => {
      await forEach(keys, print, async (key) => {
        const { state } = expectAnswer(taskEnd, await toGuard().call('POST', `${pathOf(key)}/release`, body));
        return `released, ${state}`;
      });
    });
}

function pathOf(key: string): string {
  return `/v1/tasks/${encodeURIComponent(key)}`;
}

/** Each key by itself: a refusal of one must not stop the others. */
async function forEach(
  keys: readonly string[],
  print: (text: string) => void,
  act: (key: string) => Promise<string>,
): Promise<void> {
  const refused: string[] = [];
  for (const key of keys) {
    try {
      print(printable(`${key}: ${await act(key)}`));
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      refused.push(`${key}: ${error.message}`);
    }
  }
  if (refused.length > 0) throw new LanekeeperError('refused', refused.map(printable).join('\n'));
}

/** An ingress without a guard answers at that address too, and has no tasks. */
async function withRemedy(answer: Promise<unknown>): Promise<unknown> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof RefusedError && error.status === 404 && error.title === 'No such route')) throw error;
    throw new LanekeeperError(
      'no_guard',
      'found a service without tasks at this address; set LANEKEEPER_URL to that of the guard, e.g. ' +
        'http://127.0.0.1:7071 (`lanekeeper guard`), or to that of `lanekeeper up`',
      { cause: error },
    );
  }
}

/** The user of this command, for the history of the task. */
function defaultName(): string {
  return `${userName()}@${hostname()}`;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // In a container a user may have a number and no name.
    return `uid-${process.getuid?.() ?? 'unknown'}`;
  }
}
