export {
  LOCK_SCOPE_RESOLVER,
  type LockScopeResolver,
  type PlaceOfMessage,
  type ResolvedScope,
} from './sessions/lock-scope-resolver.js';
export { startIngress, type RunningIngress, type StartIngressOptions } from './start-ingress.js';
