import { execFile } from 'node:child_process';
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from '#config';

let installed: Promise<string> | undefined;

/**
 * The folder with the peers' packages and the programs that use them. Only the bench asks for it: neither `npm start` nor
 * `npm test` installs what they do not need.
 */
export function installPeers(): Promise<string> {
  installed ??= install();
  return installed;
}

async function install(): Promise<string> {
  const source = join(packageRoot(), 'test/bench/peers');
  const folder = join(packageRoot(), '.cache/bench-peers');
  await mkdir(folder, { recursive: true });
  // Beside their packages, so that Node finds these.
  const programs = (await readdir(source)).filter((name) => name.endsWith('.mjs'));
  for (const name of programs) await copyFile(join(source, name), join(folder, name));
  const manifest = await readFile(join(source, 'package.json'), 'utf8');
  const stamp = join(folder, 'installed.json');
  if ((await readFile(stamp, 'utf8').catch(() => '')) === manifest) return folder;
  await writeFile(join(folder, 'package.json'), manifest);
  await npmInstall(folder);
  await writeFile(stamp, manifest);
  return folder;
}

async function npmInstall(folder: string): Promise<void> {
  const args = ['install', '--prefix', folder, '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error'];
  const env = { ...process.env, PATH: [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter) };
  try {
    await promisify(execFile)('npm', args, { cwd: folder, env });
  } catch (error) {
    const lines = ((error as { stderr?: string }).stderr ?? '').trim().split('\n');
    throw new Error(`npm install of the peers failed: ${lines[0] || (error as Error).message}`, { cause: error });
  }
}
