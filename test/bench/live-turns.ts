import { names, type BenchBroker } from './bench-broker.js';
import type { Message } from './work.js';

/**
 * Turns a second of messages that are fed while workers run, each of which is a turn of its own: from the first one
 * stored to the last record stored, by the broker's own stamps.
 */
export async function turnsPerSecond(broker: BenchBroker, messages: Iterable<Message>, count: number): Promise<number> {
  const { inboxStream, turnsStream } = names;
  const [stored, decided] = await Promise.all([broker.lastSeq(inboxStream), broker.lastSeq(turnsStream)]);
  await runThrough(broker, messages, count);
  const beganAtMs = await broker.storedAt(inboxStream, stored + 1);
  const endedAtMs = await broker.storedAt(turnsStream, decided + count);
  return (count * 1_000) / (endedAtMs - beganAtMs);
}

/** Feeds messages, and resolves when all their records are stored. */
export async function runThrough(broker: BenchBroker, messages: Iterable<Message>, count: number): Promise<void> {
  const decided = await broker.lastSeq(names.turnsStream);
  await broker.feed(messages);
  await broker.untilStored(names.turnsStream, decided + count);
}
