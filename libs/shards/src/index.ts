export { KeyLeaseStore } from './leases/lease-store.client.js';
export {
  floorOf,
  highestMark,
  parseLease,
  type Lease,
  type OpenSession,
  type ShardProgress,
  type StoredLease,
} from './leases/lease.js';
export { KeyMemberStore } from './members/member-store.client.js';
export { parseMember, type Member, type MemberValue } from './members/member.js';
export { longestTryMs, renewalTryMs } from './members/membership.js';
export { ShardKeeper } from './keeper/shard-keeper.js';
export type { LeaseStore, LeaseWrite, MemberStore, MemberWrite, ShardStart, ShardWork } from './shard-ports.js';
export { checkSource, describeRewound, type SourceCheck } from './leases/source-check.js';
