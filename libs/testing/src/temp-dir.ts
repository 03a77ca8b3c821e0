import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { track, trackTempDir } from './leak-check.js';

export interface TempDir extends AsyncDisposable {
  readonly path: string;
  remove(): Promise<void>;
}

/** A folder for one test: `await using dir = await tempDir('commit')`. */
export async function tempDir(name = 'test'): Promise<TempDir> {
  const path = await realpath(await mkdtemp(join(tmpdir(), `lanekeeper-${name}-`)));
  // A broker that was told to end may still write for a moment. Then the folder is not empty, and the removal is tried
  // again.
  const removeFolder = () => rm(path, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  const gone = track(`folder ${path}`, removeFolder);
  trackTempDir(path);
  const remove = async () => {
    await removeFolder();
    gone();
  };
  return { path, remove, [Symbol.asyncDispose]: remove };
}
