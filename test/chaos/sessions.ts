/** What a session is for stands in front of its key; how its agent behaves stands in the texts of its messages. */
export type SessionKind = 'quick' | 'slow' | 'failing' | 'probe' | 'beside' | 'task' | 'hands';

export function sessionOf(kind: SessionKind, n: number): string {
  return `${kind}:${n}`;
}

export function kindOf(session: string): SessionKind {
  return session.slice(0, session.indexOf(':')) as SessionKind;
}

/** Whose messages run beside each other. */
export function isConcurrent(session: string): boolean {
  return kindOf(session) === 'beside';
}

/** Whose agent always answers well and at once. */
export function isHealthy(session: string): boolean {
  return kindOf(session) === 'quick' || kindOf(session) === 'probe';
}

/** Most have the one over HTTP; the other is a handler in the workers. */
export function agentOf(session: string): 'main' | 'hands' {
  return kindOf(session) === 'hands' ? 'hands' : 'main';
}
