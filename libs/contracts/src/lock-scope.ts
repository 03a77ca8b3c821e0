/** What is serial together: one thread, all threads of a channel, or everything that one user says on a platform. */
export const LOCK_SCOPES = ['thread', 'channel', 'user'] as const;
export type LockScope = (typeof LOCK_SCOPES)[number];
