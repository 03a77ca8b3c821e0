import Table from 'cli-table3';
import type { Command } from 'commander';
import { workerList, type WorkerEntry, type WorkerList } from '#contracts';
import type { ApiClient } from './api-client.js';
import { expectAnswer } from './expect-answer.js';
import { printable } from '../printable.js';

/** `lanekeeper workers`: the workers, and the shards of each. */
export function addWorkersCommand(program: Command, api: () => ApiClient, print: (text: string) => void): void {
  program
    .command('workers')
    .description('the workers that are alive, and the shards of each')
    .option('--json', 'as JSON')
    .action(async ({ json }: { json?: boolean }) => {
      const answer = expectAnswer(workerList, await api().call('GET', '/v1/workers'));
      if (json === true) return print(JSON.stringify(answer, null, 2));
      print(answer.workers.length === 0 ? 'no workers' : tableOf(answer.workers));
      for (const line of waitingForAgents(answer.workers)) print(line);
      if (answer.settings !== undefined) print(settingsLine(answer.workers, answer.settings));
      print(summary(answer.shards));
    });
}

function tableOf(workers: readonly WorkerEntry[]): string {
  const table = new Table({
    head: ['worker', 'state', 'running', 'leaked', 'shards', 'which', 'agents', 'settings', 'version'],
    style: { head: [], border: [] },
    wordWrap: true,
    wrapOnWordBoundary: false,
    colWidths: [null, null, null, null, null, 32, 24, null, null],
  });
  for (const entry of workers) {
    const { worker, draining, running, capacity, leaked, shards, shardList, agents, settingsVersion, version } = entry;
    const load = `${running ?? '?'} of ${capacity ?? '?'}`;
    const state = draining ? 'draining' : 'working';
    const cells = [
      worker,
      state,
      load,
      leaked ?? '?',
      shards,
      shardList ?? '',
      agents?.join(', ') ?? '',
      settingsVersion ?? '?',
      version ?? '',
    ];
    table.push(cells.map(printable));
  }
  return table.toString();
}

function waitingForAgents(workers: readonly WorkerEntry[]): string[] {
  const sessions = new Map<string, number>();
  for (const { waitingForAgents: waiting = {} } of workers)
    for (const [agent, count] of Object.entries(waiting)) sessions.set(agent, (sessions.get(agent) ?? 0) + count);
  return [...sessions].map(
    ([agent, count]) =>
      `${count} ${count === 1 ? 'session waits' : 'sessions wait'} for agent ${printable(agent)}, which the owners of their shards lack`,
  );
}

function summary({ total, owned, unowned, held }: WorkerList['shards']): string {
  const waiting = unowned === 0 ? '' : `, ${unowned} by nobody: their sessions wait`;
  const elsewhere = held === 0 ? '' : `; ${held} sessions still run where they began`;
  return `${owned} of ${total} shards are owned${waiting}${elsewhere}`;
}

/** A process that started before the last change acts on the settings of then. */
function settingsLine(
  workers: readonly WorkerEntry[],
  { current, ingress }: { current: number; ingress: number },
): string {
  const behind = workers.filter(({ settingsVersion }) => settingsVersion !== current).map(({ worker }) => worker);
  if (ingress !== current) behind.push('this ingress');
  const which = behind.length === 0 ? '' : `; a restart brings it to ${behind.map(printable).join(', ')}`;
  return `version ${current} of the settings is the current one${which}`;
}
