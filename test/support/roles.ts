import { startService, tempDir, type ServiceProcess } from '#testing';
import { ApiClient } from './api-client.js';

export interface RunningRoles extends AsyncDisposable {
  readonly ingress: ServiceProcess;
  readonly worker: ServiceProcess;
  readonly api: ApiClient;
}

/** Ingress and worker as processes of their own on a broker of the test's. */
export async function startRoles(natsUrl: string): Promise<RunningRoles> {
  const dir = await tempDir('roles');
  const env = { LANEKEEPER_NATS_URL: natsUrl, LANEKEEPER_HTTP_PORT: '0', LANEKEEPER_LOG_LEVEL: 'error' };
  const starts = await Promise.allSettled(
    ['ingress', 'worker'].map((role) => startService({ args: [role], cwd: dir.path, env })),
  );
  const started = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
  const dispose = async (): Promise<void> => {
    for (const service of started) await service.stop();
    await dir.remove();
  };
  const [ingress, worker] = started;
  if (ingress === undefined || worker === undefined) {
    await dispose();
    throw starts.find((start) => start.status === 'rejected')?.reason ?? new Error('a role did not start');
  }
  return { ingress, worker, api: new ApiClient(ingress.url ?? ''), [Symbol.asyncDispose]: dispose };
}
