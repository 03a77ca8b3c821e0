import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { availableParallelism, cpus, release, type } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from '#config';
import { findNatsServer } from '#jetstream';

/** What a figure depends on beside the code, by name. */
export type Environment = Readonly<Record<string, string>>;

export async function describeEnvironment(): Promise<Environment> {
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: await commit(),
    processor: `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores`,
    system: `${type()} ${release()}`,
    'Node.js': process.versions.node,
    'nats-server': await natsServer(),
    peers: await peers(),
  };
}

async function natsServer(): Promise<string> {
  const binary = await findNatsServer({ env: process.env, packageRoot: packageRoot(), log: console.error });
  return (await output(binary, '-v')).replace(/^nats-server:?\s*/, '');
}

async function peers(): Promise<string> {
  const manifest = await readFile(join(packageRoot(), 'test/bench/peers/package.json'), 'utf8');
  const { dependencies } = JSON.parse(manifest) as { dependencies: Record<string, string> };
  return Object.entries(dependencies)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ');
}

async function commit(): Promise<string> {
  try {
    const hash = await output('git', 'rev-parse', '--short=12', 'HEAD');
    const changes = await output(
      'git',
      'status',
      '--porcelain',
      '--untracked-files=no',
      '--',
      '.',
      ':!docs/bench.md',
      ':!docs/bench',
    );
    return changes === '' ? hash : `${hash} with changes`;
  } catch {
    return 'unknown';
  }
}

async function output(command: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(command, args, { cwd: packageRoot() });
  return stdout.trim();
}
