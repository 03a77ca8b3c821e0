export { KeyLeaseStore } from './lease-store.client.js';
export {
  floorOf,
  highestMark,
  parseLease,
  type Lease,
  type OpenSession,
  type ShardProgress,
  type StoredLease,
} from './lease.js';
export { KeyMemberStore } from './member-store.client.js';
export { parseMember, type Member, type MemberValue } from './member.js';
export { longestTryMs, renewalTryMs } from './membership.js';
export { ShardKeeper } from './shard-keeper.js';
export type { LeaseStore, LeaseWrite, MemberStore, MemberWrite, ShardStart, ShardWork } from './shard-ports.js';
export { checkSource, describeRewound, type SourceCheck } from './source-check.js';
