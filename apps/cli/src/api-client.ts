import { LanekeeperError } from '#contracts';

const ANSWER_WITHIN_MS = 30_000;

/** Talks to a running Lanekeeper for operators' commands. */
export class ApiClient {
  constructor(private readonly baseUrl: string) {}

  async call(method: 'GET' | 'POST', path: string): Promise<unknown> {
    let response: Response;
    try {
      response = await fetch(`${this.baseUrl}${path}`, { method, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    } catch (error) {
      throw new LanekeeperError(
        'unreachable',
        `${this.baseUrl} does not answer: is it running, and is the address right?`,
        {
          cause: error,
        },
      );
    }
    const body = (await response.json().catch(() => ({}))) as { detail?: unknown };
    if (response.ok) return body;
    throw new LanekeeperError('refused', `${response.status}: ${String(body.detail ?? response.statusText)}`);
  }
}
