import { resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { describeEnvironment } from './environment.js';
import type { BenchOptions } from './options.js';
import { writePage } from './page/write-page.js';
import { measureFailover } from './parts/failover.js';
import { measureFlood } from './parts/flood.js';
import { measureGrowth } from './parts/growth.js';
import { measureGuard } from './parts/guard.js';
import { measureHotSession } from './parts/hot-session.js';
import { measureIdle } from './parts/idle.js';
import { measureIngress } from './parts/ingress.js';
import { measureOwnership } from './parts/ownership.js';
import { measureReplicas } from './parts/replicas.js';
import { measureTurns } from './parts/turns.js';
import { measureWorkers } from './parts/workers.js';
import { setPatience, takeOthersLoad } from './quiet.js';
import { toRow, toTable, type Row } from './report.js';
import { keepResults, type PartResult } from './results.js';
import type { Comparison } from './targets.js';

/** `npm run bench`: measures, prints, and fails when a target is missed. */

const PARTS: Readonly<Record<string, (options: BenchOptions) => Promise<Comparison[]>>> = {
  turns: measureTurns,
  ingress: measureIngress,
  idle: measureIdle,
  ownership: measureOwnership,
  failover: measureFailover,
  workers: measureWorkers,
  replicas: measureReplicas,
  'hot-session': measureHotSession,
  guard: measureGuard,
  growth: measureGrowth,
  flood: measureFlood,
};

/** As workers have it by default. */
const DEFAULT_TTL_MS = 10_000;

const program = new Command('bench')
  .description('Measures Lanekeeper beside baselines of the same run')
  .option('--only <parts>', `comma-separated, of ${Object.keys(PARTS).join(', ')}`, parts, Object.keys(PARTS))
  .option('--runs <n>', 'runs of each side; the median counts', count, 3)
  .option('--messages <n>', 'messages of the parts turns, workers and replicas', count, 60_000)
  .option('--warmup <n>', 'messages before them that are not counted', count, 40_000)
  .option('--sessions <n>', 'sessions they belong to', count, 10_000)
  .option('--growth-sessions <n>', 'the most sessions of the part growth', count, 1_000_000)
  .option('--growth-factor <n>', 'how many times more sessions each of its sizes has, from 1,000 on', factor, 10)
  .option('--growth-turns <n>', 'turns that its figures are taken over', count, 60_000)
  .option('--flood-sessions <n>', 'new sessions of the part flood', count, 1_000_000)
  .option('--hot-messages <n>', 'messages of the hot session in the part hot-session', count, 20_000)
  .option('--ttl-ms <n>', 'time to live of a member in the parts ownership and failover', count, DEFAULT_TTL_MS)
  .option('--failover-rounds <n>', 'workers that are killed with their node in the part failover', count, 10)
  .option('--patience-ms <n>', 'how long each run waits for others to leave the processors alone', count, 30_000)
  .option('--profile <folder>', 'write processor profiles of our services into it')
  .option('--write', 'keep the results of these parts in docs/bench, and write docs/bench.md of all that are kept')
  .parse();
const given = program.opts<
  Omit<BenchOptions, 'profileDir' | 'say'> & { only: string[]; patienceMs: number; profile?: string; write?: boolean }
>();

const options: BenchOptions = {
  ...given,
  profileDir: given.profile === undefined ? undefined : resolve(given.profile),
  say: (line) => process.stderr.write(`bench: ${line}\n`),
};
setPatience(given.patienceMs);
const machine = await describeEnvironment();
const rows: Row[] = [];
for (const name of given.only) {
  const result = await measure(name);
  const environment = Object.entries(result.environment).map(([what, value]) => `${what}: ${value}`);
  const ofPart = result.comparisons.map(toRow);
  process.stdout.write(`${toTable(ofPart)}\n${environment.join('\n')}\n`);
  rows.push(...ofPart);
  // At once: the next part may fail.
  if (given.write === true) await keepResults({ [name]: result });
}
if (given.write === true) options.say(`written to ${await writePage()}`);
const missed = rows.filter(({ isMissed }) => isMissed).length;
options.say(missed === 0 ? 'every target is met' : `${missed} targets are missed`);
process.exitCode = missed === 0 ? 0 : 1;

async function measure(name: string): Promise<PartResult> {
  const comparisons = (await PARTS[name]?.(options)) ?? [];
  const environment = { ...machine, 'load of others': takeOthersLoad() };
  return { command: repeatCommand(name), environment, comparisons };
}

/** Without what has to do with this run alone. */
function repeatCommand(name: string): string {
  const sizes = program.options.flatMap((option) => {
    const key = option.attributeName();
    const isDefault = program.getOptionValueSource(key) === 'default';
    const isSize = key !== 'patienceMs' && typeof program.getOptionValue(key) === 'number';
    return isSize && !isDefault ? [`${option.long} ${String(program.getOptionValue(key))}`] : [];
  });
  return ['npm run bench -- --only', name, ...sizes].join(' ');
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('wanted a whole number from 1');
  return value;
}

function factor(text: string): number {
  if (count(text) < 2) throw new InvalidArgumentError('wanted a whole number from 2');
  return count(text);
}

function parts(text: string): string[] {
  const names = text.split(',');
  const unknown = names.find((name) => !(name in PARTS));
  if (unknown === undefined) return names;
  throw new InvalidArgumentError(`wanted some of ${Object.keys(PARTS).join(', ')}`);
}
