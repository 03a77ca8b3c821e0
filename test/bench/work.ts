import { dedupId, HEADER, type Names } from '#contracts';

/** How much a part does. */
export interface WorkSize {
  readonly messages: number;
  readonly sessions: number;
  /** Messages before these, which are not counted. */
  readonly warmup: number;
}

export interface Message {
  readonly id: string;
  readonly subject: string;
  readonly body: string;
  readonly headers: Record<string, string>;
}

export interface Work {
  /** Of other sessions, and not counted: until the compilers are done, a run tells more of them than of us. */
  readonly warmup: readonly Message[];
  readonly messages: readonly Message[];
}

/** For what is so slow that all of the work would take minutes. */
export function partOfWork({ messages, sessions, warmup }: WorkSize, share: number): WorkSize {
  const of = (count: number): number => Math.ceil(count * share);
  return { messages: of(messages), sessions: of(sessions), warmup: of(warmup) };
}

/** Beyond what every message of the bench has. */
export interface MessageOptions {
  readonly thread?: string;
  readonly text?: string;
  readonly data?: object;
}

export function makeMessage(names: Names, session: string, i: number, options: MessageOptions = {}): Message {
  const key = names.sessionTokens('main', session);
  const id = `m${i}`;
  const text = `message number ${i} of the bench, of a usual length`;
  const body = JSON.stringify({ v: 1, kind: 'message', id, text, ...options });
  return { id, subject: names.ingestSubject(key), body, headers: { [HEADER.messageId]: dedupId(key, id) } };
}

/** Messages of the sessions in turn. Each has a thread of its own: those of one thread would share a turn. */
export function makeWork(names: Names, size: WorkSize): Work {
  const make = (session: string, i: number): Message => makeMessage(names, session, i, { thread: `t${i}` });
  return {
    warmup: Array.from({ length: size.warmup }, (_, i) => make(`warm-${i}`, i)),
    messages: Array.from({ length: size.messages }, (_, i) => make(`session-${i % size.sessions}`, i)),
  };
}
