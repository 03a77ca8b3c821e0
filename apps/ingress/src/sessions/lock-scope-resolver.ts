import type { LockScope } from '#contracts';

/** Where a message was said and by whom; never what was said. */
export interface PlaceOfMessage {
  readonly agent: string;
  /** What stands before the first colon of `channel`. */
  readonly platform: string;
  readonly channel: string;
  readonly thread?: string;
  readonly author?: { readonly id: string; readonly name?: string };
}

/** A scope, or a session of the resolver's own choice; as an object, since `thread` may be the name of a session too. */
export type ResolvedScope = LockScope | { readonly session: string };

/** Picks the session of a message that names none, over every setting. It is asked for each of them: it should be quick. */
export type LockScopeResolver = (place: PlaceOfMessage) => ResolvedScope | Promise<ResolvedScope>;

/** Provide a `LockScopeResolver` under it in the providers of `startIngress`. */
export const LOCK_SCOPE_RESOLVER = Symbol('LOCK_SCOPE_RESOLVER');
