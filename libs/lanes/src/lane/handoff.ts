import type { LoadedHead } from '#contracts';

/**
 * A turn that still runs at a former owner of the session. Its record, or the certain end of that process, ends the handoff. On
 * the wire the former owner is the `holder`, and the state of the session is `held`.
 */
export interface Handoff {
  /** Incarnation that runs it. */
  readonly holder: string;
  /** The session's last record when it was let go. */
  readonly since: number;
}

/** Whether the turns of the former owner are over: its last record says that no other one runs there. */
export function isHandoffOver({ holder, since }: Handoff, { head, seq }: LoadedHead): boolean {
  return seq > since && head.holder !== holder;
}
