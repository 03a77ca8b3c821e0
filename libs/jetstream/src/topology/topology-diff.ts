import type { StreamSpec } from './topology.js';
import type { StreamMismatch } from './topology-error.js';

/** The compared part of a live stream's configuration. */
export type LiveConfig = Readonly<Record<string, unknown>>;

export interface TopologyDiff {
  /** Fields to send in one update. */
  readonly changes: Record<string, unknown>;
  /** Differences that an update cannot or must not fix. */
  readonly mismatches: StreamMismatch[];
}

/** Compares only the declared fields: whatever else an operator set on the stream stays as it is. */
export function diffStream(spec: StreamSpec, live: LiveConfig): TopologyDiff {
  const mismatches: StreamMismatch[] = [];
  for (const [field, wanted] of Object.entries(spec.fixed)) {
    const found = live[field];
    if (!contains(found, wanted))
      mismatches.push({ stream: spec.name, field, wanted, found, remedy: remedyFor(field, spec.name) });
  }
  const changes: Record<string, unknown> = {};
  for (const [field, wanted] of Object.entries(spec.adjustable)) {
    if (wanted !== undefined && !contains(live[field] ?? 0, wanted)) changes[field] = wanted;
  }
  return { changes, mismatches };
}

function remedyFor(field: string, stream: string): string {
  if (field === 'subject_transform') {
    return (
      'the number of shards and the namespace are fixed when the streams are created: set `shards` and `namespace` back, ' +
      'or use another namespace'
    );
  }
  if (field === 'subjects') {
    return `the stream belongs to something else: use another namespace (LANEKEEPER_NAMESPACE), or remove ${stream}`;
  }
  return `it cannot be changed on a live stream: use another namespace (LANEKEEPER_NAMESPACE), or back up and remove ${stream}`;
}

function contains(found: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    return Array.isArray(found) && found.length === wanted.length && wanted.every((item, i) => found[i] === item);
  }
  if (typeof wanted === 'object' && wanted !== null) {
    if (typeof found !== 'object' || found === null) return false;
    const foundFields = found as Record<string, unknown>;
    return Object.entries(wanted).every(([key, value]) => contains(foundFields[key], value));
  }
  return found === wanted;
}
