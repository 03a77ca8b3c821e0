import { startBroker, startService, tempDir, type ServiceProcess, type TestBroker } from '#testing';

export interface RunningGuardRole extends AsyncDisposable {
  readonly broker: TestBroker;
  readonly guard: ServiceProcess;
  readonly url: string;
  readonly folder: string;
  /** Another role on the same broker, stopped with the rest. */
  start(role: string): Promise<ServiceProcess>;
  ask(key: string, operation: string, body: object): Promise<Record<string, unknown>>;
}

/** `lanekeeper guard` as a process of its own, on a broker and in a folder of the test's. */
export async function startGuardRole(): Promise<RunningGuardRole> {
  const dir = await tempDir('guard');
  const broker = await startBroker();
  const started: ServiceProcess[] = [];
  const start = async (role: string): Promise<ServiceProcess> => {
    const env = { LANEKEEPER_NATS_URL: broker.url, LANEKEEPER_HTTP_PORT: '0', LANEKEEPER_LOG_LEVEL: 'error' };
    const service = await startService({ args: [role], cwd: dir.path, env });
    started.push(service);
    return service;
  };
  const dispose = async (): Promise<void> => {
    await Promise.all(started.map((service) => service.stop()));
    await broker[Symbol.asyncDispose]();
    await dir.remove();
  };
  try {
    const guard = await start('guard');
    const url = guard.url ?? '';
    return {
      ...{ broker, guard, url, start, folder: dir.path },
      ask: (...request) => askGuard(url, ...request),
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** Asks a guard over HTTP, as any program would. */
export async function askGuard(
  url: string,
  key: string,
  operation: string,
  body: object,
): Promise<Record<string, unknown>> {
  const response = await fetch(`${url}/v1/tasks/${encodeURIComponent(key)}/${operation}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return (await response.json()) as Record<string, unknown>;
}
