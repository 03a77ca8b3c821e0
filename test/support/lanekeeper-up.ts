import { startService, tempDir, type ServiceProcess, type TempDir } from '#testing';
import { ApiClient } from './api-client.js';

export interface RunningUp extends AsyncDisposable {
  readonly dir: TempDir;
  readonly service: ServiceProcess;
  readonly api: ApiClient;
  readonly env: NodeJS.ProcessEnv;
  /** Starts it again on the same data, after it ended. */
  again(): Promise<void>;
}

/** `lanekeeper up` as a process of its own, in a folder of its own, on a free port. */
export async function startUp(env: NodeJS.ProcessEnv = {}): Promise<RunningUp> {
  const dir = await tempDir('up');
  const allEnv = { LANEKEEPER_HTTP_PORT: '0', LANEKEEPER_LOG_LEVEL: 'warn', LANEKEEPER_DATA_DIR: dir.path, ...env };
  const start = (): Promise<ServiceProcess> => startService({ args: ['up'], env: allEnv, cwd: dir.path });
  let service: ServiceProcess;
  try {
    service = await start();
  } catch (error) {
    await dir.remove();
    throw error;
  }
  return {
    dir,
    env: allEnv,
    get service() {
      return service;
    },
    get api() {
      return new ApiClient(service.url ?? '');
    },
    async again() {
      service = await start();
    },
    async [Symbol.asyncDispose]() {
      await service.stop();
      await dir.remove();
    },
  };
}
