import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tempDir } from '#testing';

export interface SettingsFile extends AsyncDisposable {
  /** For the environment of a process. */
  readonly env: NodeJS.ProcessEnv;
}

/** Settings as a file, since there are no variables for most of them. */
export async function settingsFile(settings: object): Promise<SettingsFile> {
  const dir = await tempDir('settings');
  const path = join(dir.path, 'lanekeeper.json');
  await writeFile(path, JSON.stringify(settings));
  return { env: { LANEKEEPER_CONFIG: path }, [Symbol.asyncDispose]: () => dir.remove() };
}
