import Table from 'cli-table3';
import type { Environment } from './environment.js';
import { median, medianRatio } from './statistics.js';
import { isReached, limitsOf, TARGETS, type Comparison, type Figures, type Limits, type Target } from './targets.js';

export interface Row {
  readonly cells: readonly string[];
  readonly isMissed: boolean;
}

const COLUMNS = ['part', 'ours', 'beside', 'theirs', 'ratio', 'target', ''];

export function toRow({ target: name, of, ours, baseline }: Comparison): Row {
  const target: Target = TARGETS[name];
  const lacking = [ours, baseline].find((figures) => 'notMeasured' in figures);
  const part = of === undefined ? target.part : `${target.part}, ${of}`;
  const head = [part, show(ours, target.unit), target.baseline, show(baseline, target.unit)];
  if (lacking !== undefined || 'notMeasured' in ours || 'notMeasured' in baseline) {
    return { cells: [...head, '', bound(target), 'missed'], isMissed: true };
  }
  const ratio = medianRatio(ours, baseline);
  const limits = limitsOf(target, median(baseline));
  const isMissed = !isReached(limits, ratio);
  const hasBound = limits.atLeast !== undefined || limits.atMost !== undefined;
  const verdict = isMissed ? 'missed' : hasBound ? 'met' : '';
  return { cells: [...head, ratio.toFixed(2), bound(limits), verdict], isMissed };
}

export function toTable(rows: readonly Row[]): string {
  const table = new Table({ head: COLUMNS, style: { head: [], border: [] } });
  for (const { cells } of rows) table.push([...cells]);
  return table.toString();
}

export function toMarkdown(rows: readonly Row[], environment: Environment, command: string): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    '# Benchmarks',
    '',
    'Written by the bench itself; each figure is the median of its runs, and each ratio the median of the ratios of',
    'single runs. Repeat it with:',
    '',
    '```sh',
    command,
    '```',
    '',
    line(COLUMNS),
    line(COLUMNS.map(() => '---')),
    ...rows.map(({ cells }) => line(cells)),
    '',
    ...Object.entries(environment).map(([name, value]) => `- ${name}: ${value}`),
    '',
    WHAT_IT_MEASURES,
  ].join('\n');
}

/** The median, and in brackets the lowest and the highest run. */
function show(figures: Figures, unit: string): string {
  if ('notMeasured' in figures) return `not measured: ${figures.notMeasured}`;
  const round = (value: number): string => Math.round(value).toLocaleString('en');
  const range = figures.length < 2 ? '' : ` (${round(Math.min(...figures))} to ${round(Math.max(...figures))})`;
  return `${round(median(figures))} ${unit}${range}`;
}

function bound({ atLeast, atMost }: Limits): string {
  const round = (value: number): number => Math.round(value * 100) / 100;
  if (atLeast !== undefined) return `at least ${round(atLeast)}`;
  return atMost === undefined ? 'none' : `at most ${round(atMost)}`;
}

const WHAT_IT_MEASURES = `## What is measured

- **turns**: messages of many sessions, two each, through publish, lanes and commit, with an agent in the worker that
  does nothing and 64 turns at once. Each message has a thread of its own, so that no two share a turn. Broker (one
  replica, file storage), worker and publisher are a process each. Times are those of the broker's own stamps: from the
  first message stored to the last record stored, after a quarter of the work as warm-up. "Full inbox": all messages are
  stored before the worker starts.
- **bare loop**: the same broker, publisher and counting; 64 ordered consumers and one compare-and-set publish of a record
  of the same size per message, 64 at once, without lanes, Nest, or a look into the message.
- **GroupMQ**, **Chat SDK queue**: the same work on a Redis that keeps nothing on disk. GroupMQ has a producer and a worker
  process. The Chat SDK handles a message in the process that takes it, so it has one, and no full inbox.
- **ingress**: \`POST …/messages\`, answered when the broker has stored it, beside a Fastify route that checks the same body
  with the same schema and stores nothing; the load comes from the same 64 connections.
- **message to handler**: one message at a time, publish to the first line of the handler, beside publish to the callback of
  an ordered consumer, in turn and in one process with one clock. "Idle session": it had turns before. "Unread head": the
  worker meets it for the first time and has to read its last record.
- **takeover**: two workers with the times that they have by default, 200 sessions, a message of each every fifth of the time
  to live. One worker is killed right after it has renewed its membership, the worst moment for it. From the kill to the
  first record of the other one that decides something, in each session of the one that is gone.
- **a worker joins, a worker stops**: 200 sessions, four messages a second of each, whatever becomes of the former ones. A
  second worker joins, then the first one gets SIGTERM. The longest time that a message waited from its stamp in LK_INBOX to
  that of the record that decides it, of all that were stored from half a second before a move to three seconds after it had
  begun. "No move": the same of as long a time just before. With turns of 50 ms, these and that of the turn before are in
  the wait, and some run while their shard moves. No message is lost or decided twice or out of order, and no turn of a
  session runs twice or beside another one: the bench ends with an error otherwise.
- **workers**: one, two and four workers on one broker. Turns of 50 ms, of which each worker runs 50 at once, need no
  processor: five seconds of work for each worker, and what more workers gain is their number. Turns that do nothing share
  the processors with the broker and the publisher: what more workers gain is what the machine has left.
- **replicas**: the work of the part turns, fed live, then 200 messages a second for five seconds, each timed from its publish
  to its record in the hands of a reader. "One server": a write is acknowledged when it is stored, and synced later. "Each
  write synced": \`sync_interval: always\`. Three servers of a cluster, all streams with three replicas, share this machine
  and its disk; which of them leads a stream is theirs to say.
- **beside a hot session**: 100 other sessions of its shard get a message every 4 ms in all, each timed from its publish to its
  record, for 20 s. Then the hot session gets its messages, of 4 KiB each and each a turn of its own. "While its messages
  come": sent meanwhile. Else: sent in another 20 s, begun when all of them were read, while its turns take 20 ms each.
  "Objects of the worker": what is left of its heap and buffers after a full collection. "Peak": the most that the system
  ever gave it, garbage included.
- **task acquired**: one guard process and 500 requests a second, whatever became of the former ones; each asks for a task of
  its own, and one in ten for one that somebody has. Timed from the request to its answer, in the process of the callers.
  "Bare compare-and-set": a program that answers each request after one write of a key that must not be there yet, to the
  same stream and of the same size, and reads, checks and tells nothing. The three take turns of a second. "Bound": 50 ms.
- **growth**: a fresh broker and worker; each session gets a message and its turn. Then 60,000 more turns of these sessions
  ("known"), in an order that jumps through the store; the same number for each size, of which the first half as many are
  warm-up. Then memory, once the worker has forgotten what is idle. Then the worker is killed and started again under its id,
  and when it is ready a session of each shard gets a message: from the start to the last of the 64 records. Last, 60,000
  new sessions get their first turn. "Processor time": of worker and broker, per turn. "Collected": after a full
  collection, which the bench asks for; Node collects only as it allocates, so that what is found in an idle worker tells how
  much garbage its last work left ("as found"). The broker remembers the id of every message for 15 minutes.
`;
