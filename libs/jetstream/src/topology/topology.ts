import type { Names } from '#contracts';
import { bucketStream } from './bucket-stream.js';

/**
 * The streams that an installation needs, as plain data. `topology.client` applies them to the broker at every start; a
 * difference in a field that cannot be changed on a live stream stops the start instead (`fixed`).
 */
export interface StreamSpec {
  readonly name: string;
  /** What the stream holds, shown in the broker's stream list. */
  readonly description: string;
  readonly fixed: {
    readonly subjects: readonly string[];
    readonly storage: 'file';
    readonly retention: 'limits';
    /** Marks a key-value bucket for NATS clients. */
    readonly allow_rollup_hdrs?: true;
    readonly deny_delete?: true;
    readonly subject_transform?: { readonly src: string; readonly dest: string };
  };
  readonly adjustable: {
    readonly num_replicas: number;
    readonly discard: 'new' | 'old';
    readonly allow_direct: true;
    /** Nanoseconds; 0 = unlimited. */
    readonly max_age: number;
    readonly max_msgs_per_subject?: number;
    /** Messages may carry `Nats-TTL`. Cannot be switched off again. */
    readonly allow_msg_ttl?: true;
    /** Nanoseconds; undefined = the server's default. */
    readonly duplicate_window?: number;
  };
}

export interface TopologySettings {
  readonly replicas: number;
  readonly dedupWindowMs: number;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const EVENTS_KEPT_MS = DAY_MS;
const DEAD_KEPT_MS = 30 * DAY_MS;
const toNanos = (ms: number): number => ms * 1_000_000;

export function declareTopology(names: Names, settings: TopologySettings): StreamSpec[] {
  const ns = names.namespace;
  const live = { num_replicas: settings.replicas, allow_direct: true as const };
  const stored = { storage: 'file' as const, retention: 'limits' as const };
  return [
    {
      name: names.inboxStream,
      description: 'What came in: one message per inbound item, by shard, agent and session',
      fixed: {
        ...stored,
        subjects: [`${ns}.in.*.*`],
        subject_transform: {
          src: `${ns}.in.*.*`,
          dest: `${ns}.inbox.{{partition(${names.shards},1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}`,
        },
      },
      // A full inbox refuses (503 to the sender): dropping the oldest would lose what a sender was promised (L3).
      adjustable: { ...live, discard: 'new', max_age: 0, duplicate_window: toNanos(settings.dedupWindowMs) },
    },
    {
      name: names.turnsStream,
      description: 'What was decided: the records of each session, the last one is its head',
      fixed: { ...stored, subjects: [`${ns}.turns.*.*.*`] },
      adjustable: { ...live, discard: 'new', max_age: 0 },
    },
    {
      name: names.eventsStream,
      description: 'What happens in runs: for live reading and as a hint after a crash',
      fixed: { ...stored, subjects: [`${ns}.events.*.*.*.*`] },
      adjustable: { ...live, discard: 'old', max_age: toNanos(EVENTS_KEPT_MS) },
    },
    {
      name: names.deadStream,
      description: 'Dead messages with their content: a view of the decisions `dead`, for operators',
      fixed: { ...stored, subjects: [`${ns}.dead.*.*.*.*`] },
      // One entry per message: a message that is buried twice, because its record was written again, has one entry.
      adjustable: { ...live, discard: 'old', max_age: toNanos(DEAD_KEPT_MS), max_msgs_per_subject: 1 },
    },
    bucket(names.membersBucket, 'Live processes: one key each, gone when it is not renewed', settings),
    bucket(names.shardsBucket, 'Leases of shards: who owns each, and up to where it is decided', settings),
    numbers(names, settings),
    bucket(names.tasksBucket, 'Tasks: who runs each, and how it ended; written by the guard alone', settings),
    bucket(
      names.taskFailuresBucket,
      'Failures of tasks that the guard could not be told; written by workers',
      settings,
    ),
    settingsBucket(names, settings),
  ];
}

const SETTINGS_VERSIONS_KEPT = 16;

/** Former versions are kept for a while: operators ask which settings an installation acted on. */
export function settingsBucket(names: Names, settings: Pick<TopologySettings, 'replicas'>): StreamSpec {
  const spec = bucket(names.settingsBucket, 'What all processes act on: agents, queueing, guard', settings);
  return { ...spec, adjustable: { ...spec.adjustable, max_msgs_per_subject: SETTINGS_VERSIONS_KEPT } };
}

/** A number is free again when the broker has forgotten the id of its message. */
function numbers(names: Names, settings: TopologySettings): StreamSpec {
  const spec = bucket(
    names.numbersBucket,
    'Numbers that messages have used, each with the id of its message',
    settings,
  );
  const max_age = toNanos(settings.dedupWindowMs);
  // The server refuses a max_age below its duplicate window; nothing is written here with a message id.
  return { ...spec, adjustable: { ...spec.adjustable, max_age, duplicate_window: max_age } };
}

/** A key-value bucket with one value per key, in the form that every NATS client knows. */
function bucket(name: string, description: string, { replicas }: Pick<TopologySettings, 'replicas'>): StreamSpec {
  const { stream, prefix } = bucketStream(name);
  return {
    name: stream,
    description,
    fixed: {
      subjects: [`${prefix}>`],
      storage: 'file',
      retention: 'limits',
      allow_rollup_hdrs: true,
      deny_delete: true,
    },
    adjustable: {
      num_replicas: replicas,
      allow_direct: true,
      discard: 'new',
      max_age: 0,
      max_msgs_per_subject: 1,
      allow_msg_ttl: true,
    },
  };
}
