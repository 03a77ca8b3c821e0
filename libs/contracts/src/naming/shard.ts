/**
 * The shard of a session: FNV-1a (32 bit) over the agent token and the session token, joined without a separator,
 * modulo the number of shards. The server's `partition(n,1,2)` subject transform computes the same; the e2e test
 * `broker-facts` compares the two, since a reader that computes another shard than the server would find no messages.
 */
export function shardOf(agentToken: string, sessionToken: string, shards: number): number {
  let hash = 0x811c9dc5;
  // Tokens are ASCII by construction, so one UTF-16 unit is one byte.
  for (let i = 0; i < agentToken.length; i++) hash = Math.imul(hash ^ agentToken.charCodeAt(i), 0x01000193);
  for (let i = 0; i < sessionToken.length; i++) hash = Math.imul(hash ^ sessionToken.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % shards;
}
