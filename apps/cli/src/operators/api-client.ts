import { LanekeeperError, parseToWrite } from '#contracts';

const ANSWER_WITHIN_MS = 30_000;

/** The service refused the request. */
export class RefusedError extends LanekeeperError {
  constructor(
    readonly status: number,
    /** The title of the problem: what is wrong, in a few words. */
    readonly title: string,
    detail: string,
  ) {
    super('refused', `${status}: ${detail}`);
  }
}

/** Calls the HTTP API of a running Lanekeeper for operators' commands. */
export class ApiClient {
  constructor(private readonly baseUrl: string) {}

  async call(method: 'GET' | 'POST', path: string, body?: object): Promise<unknown> {
    const json = body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
    let response: Response;
    try {
      response = await fetch(`${this.baseUrl}${path}`, {
        ...{ method, ...json },
        signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
      });
    } catch (error) {
      throw new LanekeeperError(
        'unreachable',
        `${this.baseUrl} does not answer: is it running, and is the address right?`,
        {
          cause: error,
        },
      );
    }
    const answer = await readAnswer(response);
    if (response.ok) return answer;
    const { title, detail = response.statusText } = answer;
    throw new RefusedError(response.status, String(title), String(detail));
  }
}

/** Numbers keep all their digits when they are printed again. */
async function readAnswer(response: Response): Promise<{ title?: unknown; detail?: unknown }> {
  try {
    return parseToWrite(await response.text()) as { title?: unknown; detail?: unknown };
  } catch {
    return {};
  }
}
