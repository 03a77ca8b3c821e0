import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { LanekeeperError } from '#contracts';

/**
 * `connection.json` in the data folder: `lanekeeper up` writes where it can be reached, other roles and the CLI in the
 * same folder read it. It may hold the broker's password, so it is the owner's alone (mode 0600) and no error quotes it.
 * Synchronous, since it is used at start and stop only and the removal must not be cut off by an exit.
 */

const connection = z.object({
  natsUrl: z.string().min(1),
  httpUrl: z.string().min(1).optional(),
  /** Process that wrote it: after a kill the file stays, and this tells whether its writer still lives. */
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
    // A new file each time: the mode of an existing one would stay as it was.
    const fd = openSync(draft, 'wx', 0o600);
    try {
      writeFileSync(fd, `${JSON.stringify({ natsUrl, httpUrl, pid }, null, 2)}\n`);
      // Else a power cut may leave the new name with no content.
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

/** What `up` wrote, or `undefined` when there is no file. Whether its writer still lives is the caller's question. */
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

/** Removes the file; with `pid` only that process's own, so that one that stops late leaves its successor's alone. */
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
