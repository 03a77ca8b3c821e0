import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { format, resolveConfig } from 'prettier';
import { packageRoot } from '#config';
import { describeEnvironment } from './environment.js';
import type { BenchOptions } from './options.js';
import { measureGrowth } from './parts/growth.js';
import { measureGuard } from './parts/guard.js';
import { measureHotSession } from './parts/hot-session.js';
import { measureIdle } from './parts/idle.js';
import { measureIngress } from './parts/ingress.js';
import { measureOwnership } from './parts/ownership.js';
import { measureReplicas } from './parts/replicas.js';
import { measureTurns } from './parts/turns.js';
import { measureWorkers } from './parts/workers.js';
import { othersLoad } from './quiet.js';
import { toMarkdown, toRow, toTable, type Row } from './report.js';
import type { Comparison } from './targets.js';

/** `npm run bench`: measures, prints, and fails when a target is missed. */

const PARTS: Readonly<Record<string, (options: BenchOptions) => Promise<Comparison[]>>> = {
  turns: measureTurns,
  ingress: measureIngress,
  idle: measureIdle,
  ownership: measureOwnership,
  workers: measureWorkers,
  replicas: measureReplicas,
  'hot-session': measureHotSession,
  guard: measureGuard,
  growth: measureGrowth,
};

/** As workers have it by default. */
const DEFAULT_TTL_MS = 10_000;

const program = new Command('bench')
  .description('Measures Lanekeeper beside baselines of the same run')
  .option('--only <parts>', `comma-separated, of ${Object.keys(PARTS).join(', ')}`, parts, Object.keys(PARTS))
  .option('--runs <n>', 'runs of each side; the median counts', count, 3)
  .option('--messages <n>', 'messages of the parts turns, workers and replicas', count, 20_000)
  .option('--sessions <n>', 'sessions they belong to', count, 10_000)
  .option('--growth-sessions <n>', 'the most sessions of the part growth', count, 1_000_000)
  .option('--growth-turns <n>', 'turns that its figures are taken over', count, 60_000)
  .option('--hot-messages <n>', 'messages of the hot session in the part hot-session', count, 20_000)
  .option('--ttl-ms <n>', 'time to live of a member in the part ownership', count, DEFAULT_TTL_MS)
  .option('--profile <folder>', 'write processor profiles of our services into it')
  .option('--write', 'write the table to docs/bench.md')
  .parse();
const given = program.opts<{
  only: string[];
  runs: number;
  messages: number;
  sessions: number;
  growthSessions: number;
  growthTurns: number;
  hotMessages: number;
  ttlMs: number;
  profile?: string;
  write?: boolean;
}>();

const options: BenchOptions = {
  ...given,
  profileDir: given.profile === undefined ? undefined : resolve(given.profile),
  say: (line) => process.stderr.write(`bench: ${line}\n`),
};
const machine = await describeEnvironment();
const rows: Row[] = [];
for (const name of given.only) rows.push(...((await PARTS[name]?.(options)) ?? []).map(toRow));

const environment = { ...machine, 'load of others': othersLoad() };
process.stdout.write(`${toTable(rows)}\n`);
for (const [name, value] of Object.entries(environment)) process.stdout.write(`${name}: ${value}\n`);
if (given.write === true) {
  const file = join(packageRoot(), 'docs/bench.md');
  await mkdir(join(file, '..'), { recursive: true });
  const text = toMarkdown(rows, environment, repeatCommand());
  await writeFile(file, await format(text, { ...(await resolveConfig(file)), filepath: file }));
  options.say(`written to ${file}`);
}
const missed = rows.filter(({ isMissed }) => isMissed).length;
options.say(missed === 0 ? 'every target is met' : `${missed} targets are missed`);
process.exitCode = missed === 0 ? 0 : 1;

function repeatCommand(): string {
  const args = process.argv.slice(2);
  return args.length === 0 ? 'npm run bench' : `npm run bench -- ${args.join(' ')}`;
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('wanted a whole number from 1');
  return value;
}

function parts(text: string): string[] {
  const names = text.split(',');
  const unknown = names.find((name) => !(name in PARTS));
  if (unknown === undefined) return names;
  throw new InvalidArgumentError(`wanted some of ${Object.keys(PARTS).join(', ')}`);
}
