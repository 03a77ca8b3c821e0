import type { InboxItem } from './inbox-item.js';

/**
 * Strategy `queue`: one turn with all waiting messages of one route, the route of the oldest message first.
 * `waiting` is ascending by sequence, and so is the answer (L2). The lane bounds it by what one record holds.
 */
export function takeQueue(waiting: readonly InboxItem[]): InboxItem[] {
  const oldest = waiting[0];
  if (oldest === undefined) return [];
  if (waiting.length === 1) return [oldest];
  return waiting.filter((item) => item.route === oldest.route);
}
