import { until } from '#testing';

/** What a record looks like from outside; only what tests ask for. */
export interface ApiRecord {
  readonly worker: string;
  readonly kind: 'turn' | 'note';
  readonly recordSeq: number;
  readonly runId?: string;
  readonly attempt?: number;
  readonly status?: string;
  readonly messages: readonly {
    readonly id: string;
    readonly seq: number;
    readonly decision: string;
    readonly reason?: string;
  }[];
  readonly sends?: readonly { readonly text?: string; readonly data?: unknown }[];
  readonly startedAt?: number;
  readonly endedAt?: number;
  readonly error?: { readonly name: string; readonly message: string };
}

export interface ApiAnswer {
  readonly status: number;
  readonly headers: Headers;
  // Tests read whatever the route answers.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly body: any;
}

export interface SendOptions {
  readonly wait?: string;
  readonly headers?: Record<string, string>;
}

/** Talks to an ingress as any program would. */
export class ApiClient {
  constructor(
    readonly url: string,
    private readonly agent = 'main',
  ) {}

  path(session: string): string {
    return `${this.url}/v1/agents/${this.agent}/sessions/${encodeURIComponent(session)}`;
  }

  async send(session: string, body: object, options: SendOptions = {}): Promise<ApiAnswer> {
    return this.post(`${this.path(session)}/messages`, body, options);
  }

  /** Leaves the session to the lock scope. */
  async sendByPlace(
    body: { channel: string; [field: string]: unknown },
    options: SendOptions = {},
  ): Promise<ApiAnswer> {
    return this.post(`${this.url}/v1/agents/${this.agent}/messages`, body, options);
  }

  private async post(url: string, body: object, { wait, headers }: SendOptions): Promise<ApiAnswer> {
    const query = wait === undefined ? '' : `?wait=${wait}`;
    return read(
      await fetch(`${url}${query}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      }),
    );
  }

  async get(path: string): Promise<ApiAnswer> {
    return read(await fetch(path.startsWith('http') ? path : `${this.url}${path}`));
  }

  async session(session: string): Promise<ApiAnswer['body']> {
    return (await this.get(this.path(session))).body;
  }

  /** Newest first. */
  async turns(session: string, limit = 200): Promise<ApiRecord[]> {
    const { body } = await this.get(`${this.path(session)}/turns?limit=${limit}`);
    return (body as { turns: ApiRecord[] }).turns;
  }

  async message(session: string, messageId: string): Promise<ApiAnswer> {
    return this.get(`${this.path(session)}/messages/${encodeURIComponent(messageId)}`);
  }

  /** All records of a session, oldest first, once they decide `count` messages. */
  async decided(session: string, count: number, timeoutMs?: number): Promise<ApiRecord[]> {
    return until(
      `${count} messages of ${session} are decided`,
      async () => {
        const records = (await this.turns(session)).toReversed();
        return records.flatMap(({ messages }) => messages).length >= count ? records : undefined;
      },
      timeoutMs === undefined ? {} : { timeoutMs },
    );
  }
}

/** Any route of any role: a POST where there is a body. */
export async function requestJson(url: string, body?: object): Promise<ApiAnswer> {
  if (body === undefined) return read(await fetch(url));
  const headers = { 'content-type': 'application/json' };
  return read(await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) }));
}

async function read(response: Response): Promise<ApiAnswer> {
  const text = await response.text();
  const isJson = /json/.test(response.headers.get('content-type') ?? '');
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
}
