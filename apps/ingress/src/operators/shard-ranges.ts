/** Shards as people read them: `0-15,40`. Empty for none. */
export function shardRanges(shards: readonly number[]): string {
  const ranges: { from: number; to: number }[] = [];
  for (const shard of shards.toSorted((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && shard <= last.to + 1) last.to = shard;
    else ranges.push({ from: shard, to: shard });
  }
  return ranges.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(',');
}
