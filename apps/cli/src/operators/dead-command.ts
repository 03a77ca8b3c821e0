import Table from 'cli-table3';
import type { Command } from 'commander';
import { deadDrop, deadList, deadMessage, deadRetry, type DeadSummary } from '#contracts';
import type { ApiClient } from './api-client.js';
import { expectAnswer } from './expect-answer.js';
import { printable } from '../printable.js';

/** `lanekeeper dead ls | show | retry | drop`: messages that will not be retried. */
export function addDeadCommand(program: Command, api: () => ApiClient, print: (text: string) => void): void {
  const dead = program
    .command('dead')
    .description('messages that will not be retried: look at them, send them again, drop them');
  const pathOf = (deadId: string): string => `/v1/dead/${encodeURIComponent(deadId)}`;

  dead
    .command('ls')
    .description('list them, oldest first')
    .option('--agent <name>', 'only of this agent')
    .option('--session <key>', 'only of this session')
    .option('--limit <n>', 'how many at most (1 to 200)', '50')
    .option('--after <n>', 'the next page: the number that the page before names')
    .option('--json', 'as JSON')
    .action(async ({ json, ...query }: Record<string, string> & { json?: boolean }) => {
      const answer = expectAnswer(deadList, await api().call('GET', `/v1/dead?${new URLSearchParams(query)}`));
      if (json === true) return print(JSON.stringify(answer, null, 2));
      if (answer.dead.length === 0) return print('no dead messages');
      print(tableOf(answer.dead));
      if (answer.next !== undefined) print(`more: --after ${answer.next}`);
    });

  dead
    .command('show <deadId>')
    .description('show one of them with its content, as JSON')
    .action(async (deadId: string) => {
      const answer = expectAnswer(deadMessage, await api().call('GET', pathOf(deadId)));
      print(JSON.stringify(answer, null, 2));
    });

  dead
    .command('retry <deadId...>')
    .description('send them again, as new messages with the same ids')
    .action(async (deadIds: string[]) => {
      for (const deadId of deadIds) {
        const { seq } = expectAnswer(deadRetry, await api().call('POST', `${pathOf(deadId)}/retry`));
        print(`${deadId}: sent again, seq ${seq}`);
      }
    });

  dead
    .command('drop <deadId...>')
    .description('remove them from the list; the decision stays in the record of the session')
    .action(async (deadIds: string[]) => {
      for (const deadId of deadIds) {
        expectAnswer(deadDrop, await api().call('POST', `${pathOf(deadId)}/drop`));
        print(`${deadId}: dropped`);
      }
    });
}

/** How much of an agent's answer a table has room for; `show` prints all of it. */
const MAX_SAID_CHARS = 80;

function tableOf(entries: readonly DeadSummary[]): string {
  const table = new Table({
    head: ['dead id', 'session', 'message', 'attempts', 'when', 'error'],
    style: { head: [], border: [] },
    wordWrap: true,
    colWidths: [null, 24, 24, null, null, 40],
  });
  for (const { deadId, agent, session, messageId, attempts, deadAt, error } of entries) {
    const when = new Date(deadAt).toISOString();
    const said = error.excerpt === undefined ? '' : ` (${error.excerpt.slice(0, MAX_SAID_CHARS)})`;
    table.push(
      [deadId, `${agent}/${session}`, messageId, attempts, when, `${error.name}: ${error.message}${said}`].map(
        printable,
      ),
    );
  }
  return table.toString();
}
