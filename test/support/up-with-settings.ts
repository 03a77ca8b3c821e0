import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tempDir } from '#testing';
import { startUp, type RunningUp } from './lanekeeper-up.js';

/** `up` with these settings, for which there are no variables. It cannot be started again: its file is gone then. */
export async function startUpWith(settings: object, env: NodeJS.ProcessEnv = {}): Promise<RunningUp> {
  await using dir = await tempDir('settings');
  const path = join(dir.path, 'lanekeeper.json');
  await writeFile(path, JSON.stringify(settings));
  return await startUp({ LANEKEEPER_CONFIG: path, ...env });
}
