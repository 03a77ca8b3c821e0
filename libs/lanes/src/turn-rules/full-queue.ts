import { type QueueSettings, STRATEGY_TABLE } from '#contracts';

export interface QueueEntry {
  readonly seq: number;
  readonly queueing: QueueSettings;
}

export interface DroppedEntry {
  readonly seq: number;
  /** Words of the Chat SDK. */
  readonly reason: 'busy' | 'queue-full';
}

/**
 * What has to be dropped of what waits, each entry by its own settings, as if they came one after the other. `isBusy`: a
 * turn runs or waits for its next attempt; otherwise the first of them is the one that runs next.
 *
 * With `summarize` nothing is dropped: what is too much goes into the next turn as a summary.
 */
export function overflowOf(entries: readonly QueueEntry[], isBusy: boolean): DroppedEntry[] {
  const kept: QueueEntry[] = [];
  const dropped: DroppedEntry[] = [];
  for (const entry of entries) {
    const { strategy, maxQueueSize, onQueueFull } = entry.queueing;
    if (STRATEGY_TABLE[strategy].busy === 'drop') {
      if (isBusy || kept.length > 0) dropped.push({ seq: entry.seq, reason: 'busy' });
      else kept.push(entry);
      continue;
    }
    if (kept.length >= maxQueueSize) {
      if (onQueueFull === 'drop-newest') {
        dropped.push({ seq: entry.seq, reason: 'queue-full' });
        continue;
      }
      const oldest = onQueueFull === 'drop-oldest' ? kept.shift() : undefined;
      if (oldest !== undefined) dropped.push({ seq: oldest.seq, reason: 'queue-full' });
    }
    kept.push(entry);
  }
  return dropped;
}
