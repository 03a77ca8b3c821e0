import type { LoadedHead } from '#contracts';

/** A turn that still runs at a process which does not own the session any more. */
export interface Handoff {
  /** Incarnation that runs it. */
  readonly holder: string;
  /** The session's last record when it was let go. */
  readonly since: number;
}

/** Whether the holder's turns are over: its last record says that no other one runs there. */
export function isHandoffOver({ holder, since }: Handoff, { head, seq }: LoadedHead): boolean {
  return seq > since && head.holder !== holder;
}
