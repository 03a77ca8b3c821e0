import { writeFile } from 'node:fs/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { expectNothingLeft } from '#testing';
import { endBySignals, MachineLacksError } from './machine.js';
import { runChaos } from './run-chaos.js';
import { summarize } from './summary.js';
import { TIMES, type TimesName } from './times.js';
import { traceOf } from './trace.js';

/** `npm run chaos`: breaks a cluster for some minutes and fails when an invariant did not hold. */

/** Above what the run has to come to, since outages take their share. */
const MESSAGES_PER_MINUTE = 6_000;
const MOST_TOLD = 20;

const program = new Command('chaos')
  .description('Kills, stops and restarts every part of a cluster under load, and checks what came of it')
  .option('--minutes <n>', 'how long', positive, 10)
  .option('--seed <n>', 'repeats the faults and the messages of another run', count)
  .option('--nodes <n>', 'broker nodes, 1 or 3', nodes, 1)
  .option('--no-networks', 'leaves out what takes networks of their own for the parts (Linux and root)')
  .option('--no-disks', 'leaves out what takes small disks for the broker (Linux and root)')
  .option('--messages <n>', `how many - default ${MESSAGES_PER_MINUTE} per minute`, count)
  .option('--history <file>', 'writes what happened there when an invariant did not hold, as JSON')
  .addOption(
    new Option('--times <which>', 'memberships of 10 s or of 2 s - default: the seed says').choices(Object.keys(TIMES)),
  )
  .parse();
const given = program.opts<{
  minutes: number;
  seed?: number;
  nodes: 1 | 3;
  messages?: number;
  networks: boolean;
  disks: boolean;
  times?: TimesName;
  history?: string;
}>();
const seed = given.seed ?? Math.floor(Math.random() * 1_000_000);
const messages = given.messages ?? Math.ceil(given.minutes * MESSAGES_PER_MINUTE);
const say = (line: string): void => void process.stderr.write(`chaos: ${line}\n`);

endBySignals();

const result = await runChaos({ ...given, seed, messages, say }).catch((error: unknown) => {
  if (!(error instanceof MachineLacksError)) throw error;
  say(error.message);
  process.exit(2);
});
await expectNothingLeft();

for (const [name, value] of summarize(result)) process.stdout.write(`${name}: ${value}\n`);
const { violations } = result;
if (given.history !== undefined && violations.length > 0) {
  await writeFile(given.history, JSON.stringify({ violations, history: result.history }));
}
process.stdout.write(`violations: ${violations.length}\n`);
const traced = new Set<string>();
for (const { invariant, says, session, at } of violations.slice(0, MOST_TOLD)) {
  process.stdout.write(`  ${invariant}: ${says}\n`);
  if (session === undefined || at === undefined || traced.has(session)) continue;
  traced.add(session);
  for (const line of traceOf(result.history, session, at)) process.stdout.write(`      ${line}\n`);
}
const { minutes, nodes: brokerNodes, networks, disks } = given;
const size = `--minutes ${minutes} --nodes ${brokerNodes} --messages ${messages}`;
const left = `${networks ? '' : ' --no-networks'}${disks ? '' : ' --no-disks'}`;
const repeat = `npm run chaos -- ${size} --times ${result.times} --seed ${seed}${left}`;
process.stdout.write(`${violations.length === 0 ? 'every invariant held' : 'replay'}: ${repeat}\n`);
process.exitCode = violations.length === 0 ? 0 : 1;

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('wanted a number above 0');
  return value;
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('wanted a whole number from 1');
  return value;
}

function nodes(text: string): 1 | 3 {
  if (text !== '1' && text !== '3') throw new InvalidArgumentError('wanted 1 or 3');
  return text === '1' ? 1 : 3;
}
