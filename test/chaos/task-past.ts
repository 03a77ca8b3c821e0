import type { Names, TaskStep } from '#contracts';
import type { TaskEvent } from '#guards';
import { bucketStream, BrokerConnection, StreamReader } from '#jetstream';
import { createLogger } from '#telemetry';
import type { TaskLine } from './history.js';

/** What was seen of the guard's entries, of which each has the last steps of its task. */
export interface TaskPast extends AsyncDisposable {
  look(): Promise<void>;
  /** Events know the token of a holding that came and went between two looks. */
  lines(events: readonly TaskEvent[]): TaskLine[];
}

interface Entry {
  readonly key: string;
  /** 0 = its own revision. */
  readonly token: number;
  readonly history: readonly TaskStep[];
}

/** An entry has its last 50 steps: in this time nothing near that happens to one task. */
const LOOK_MS = 250;

export async function watchTasks(names: Names, url: string): Promise<TaskPast> {
  const log = createLogger({ level: 'error', service: 'chaos' });
  const connection = await BrokerConnection.open({ url, name: 'chaos', log });
  const reader = new StreamReader(connection);
  const { stream, prefix } = bucketStream(names.tasksBucket);
  /** By key and content. Each step has a time and a run or a person of its own. */
  const steps = new Map<string, Map<string, TaskStep>>();
  const tokens = new Map<string, number>();
  let next = 1;

  const take = ({ key, token, history }: Entry, revision: number): void => {
    const known = steps.get(key) ?? new Map<string, TaskStep>();
    steps.set(key, known);
    for (const step of history) known.set(JSON.stringify(step), step);
    const began = history.findLast(({ what }) => what === 'acquired');
    if (began !== undefined) tokens.set(nameOf(key, began), token === 0 ? revision : token);
  };
  const look = async (): Promise<void> => {
    for await (const { seq, data } of reader.messagesOf(stream, `${prefix}>`, next)) {
      next = seq + 1;
      // Of an entry that was forgotten only a mark is left.
      if (data.length > 0) take(JSON.parse(Buffer.from(data).toString()) as Entry, seq);
    }
  };
  let looking: Promise<void> | undefined;
  const timer = setInterval(() => {
    // In an outage no guard answers; the next look goes on where this one ended.
    looking ??= look()
      .catch(() => {})
      .finally(() => (looking = undefined));
  }, LOOK_MS);

  return {
    async look() {
      clearInterval(timer);
      await looking;
      await look();
    },
    lines(events) {
      for (const { type, key, runId, at, token } of events) {
        if (type === 'task-acquired') tokens.set(nameOf(key, { runId, at }), token);
      }
      return [...steps].flatMap(([key, known]) =>
        [...known.values()].map((step): TaskLine => {
          const token = step.what === 'acquired' ? tokens.get(nameOf(key, step)) : undefined;
          return { ...step, key, ...(token === undefined ? {} : { token }) };
        }),
      );
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await looking;
      await connection.close();
    },
  };
}

/** Of one holding. */
function nameOf(key: string, { runId = '', at }: Pick<TaskStep, 'runId' | 'at'>): string {
  return `${key} ${runId} ${at}`;
}
