import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { LanekeeperError } from '#contracts';

/**
 * `connection.json` in the data folder: `lanekeeper up` writes its addresses there; other roles and the CLI in the same folder
 * read it. It may contain the broker's password, so only its owner can read it (mode 0600) and no error quotes it.
 * Synchronous, since it is used only at start and stop, and an exit must not interrupt the removal.
 */

const connection = z.object({
  natsUrl: z.string().min(1),
  httpUrl: z.string().min(1).optional(),
  /** Process that wrote it: after a kill the file stays, and this tells whether that process is still alive. */
  pid: z.int().positive(),
});
export type Connection = z.infer<typeof connection>;

const pathIn = (dataDir: string): string => join(dataDir, 'connection.json');

/** Replaces the file in one step: a reader sees the old or the new one, never a part. */
export function writeConnection(dataDir: string, { natsUrl, httpUrl, pid }: Connection): void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const path = pathIn(dataDir);
  const draft = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    // A new file each time: an existing one would keep its mode.
    const fd = openSync(draft, 'wx', 0o600);
    try {
      writeFileSync(fd, `${JSON.stringify({ natsUrl, httpUrl, pid }, null, 2)}\n`);
      // Otherwise a power cut may leave the new name without content.
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}

/** What `up` wrote, or `undefined` without a file. The caller has to check whether the process that wrote it is alive. */
export function readConnection(dataDir: string): Connection | undefined {
  const path = pathIn(dataDir);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw broken(path, `cannot be read (${code})`);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // Without the cause: a parser's message quotes the text.
    throw broken(path, 'is no JSON');
  }
  const parsed = connection.safeParse(json);
  if (parsed.success) return parsed.data;
  const field = parsed.error.issues[0]?.path.join('.');
  throw broken(path, field ? `has no valid ${field}` : 'is no JSON object');
}

/** Removes the file; with `pid` only if that process wrote it, so that a process that stops late keeps its successor's file. */
export function removeConnection(dataDir: string, pid?: number): void {
  if (pid !== undefined && readConnection(dataDir)?.pid !== pid) return;
  rmSync(pathIn(dataDir), { force: true });
}

function broken(path: string, what: string): LanekeeperError {
  return new LanekeeperError(
    'connection_file_broken',
    `${path} ${what}: delete it and start lanekeeper up again, or set LANEKEEPER_NATS_URL`,
  );
}
