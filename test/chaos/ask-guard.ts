const PATIENCE_MS = 2_000;

/** As any program asks a guard over HTTP. Rejects when there is no answer in time; the guard may have done it all the same. */
export async function askGuard(
  url: string,
  path: string,
  body?: object,
): Promise<{ readonly status: number; readonly body: any }> {
  const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const response = await fetch(`${url}${path}`, {
    ...(body === undefined ? {} : post),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  return { status: response.status, body: await response.json() };
}

export function taskPath(key: string): string {
  return `/v1/tasks/${encodeURIComponent(key)}`;
}
