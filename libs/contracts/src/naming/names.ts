import { shardOf } from './shard.js';
import { taskKeyTokens } from './task-key.js';
import { encodeToken } from './tokens.js';

/** A namespace is the first token of every subject and the prefix of every stream. */
export const NAMESPACE_PATTERN = /^[a-z][a-z0-9]{0,15}$/;

/** Fixed when the streams are created (it is written into their subject transform). */
export const DEFAULT_SHARDS = 64;

/** A session as in subjects: both tokens are raw, so a message with an invalid one can still be decided `rejected`. */
export interface SessionTokens {
  readonly shard: number;
  readonly agentToken: string;
  readonly sessionToken: string;
}

/**
 * All names of an installation, from one place: two installations share a broker by having two namespaces.
 * Readers and writers build subjects only here, so that a subject cannot be spelled in two ways.
 */
export class Names {
  readonly inboxStream: string;
  readonly turnsStream: string;
  readonly eventsStream: string;
  readonly deadStream: string;
  /** Key-value bucket of live processes: `<workerId>`. */
  readonly membersBucket: string;
  /** Key-value bucket of leases: `<shard>`. */
  readonly shardsBucket: string;
  /** Key-value bucket of the numbers that messages have used: `numberKey`, and of ids that were used again: `reusedIdKey`. */
  readonly numbersBucket: string;
  /** Key-value bucket of tasks: `taskKey`. Only the guard writes it. */
  readonly tasksBucket: string;
  /** Key-value bucket of failures that could not be reported to the guard: one per run below `taskKey`. Workers write it. */
  readonly taskFailuresBucket: string;
  /** Key-value bucket of the settings that the whole installation shares: agents, queueing, guard. */
  readonly settingsBucket: string;

  constructor(
    readonly namespace: string,
    readonly shards: number,
  ) {
    const prefix = namespace.toUpperCase();
    this.inboxStream = `${prefix}_INBOX`;
    this.turnsStream = `${prefix}_TURNS`;
    this.eventsStream = `${prefix}_EVENTS`;
    this.deadStream = `${prefix}_DEAD`;
    this.membersBucket = `${namespace}_members`;
    this.shardsBucket = `${namespace}_shards`;
    this.numbersBucket = `${namespace}_numbers`;
    this.tasksBucket = `${namespace}_tasks`;
    this.taskFailuresBucket = `${namespace}_task_failures`;
    this.settingsBucket = `${namespace}_settings`;
  }

  sessionTokens(agent: string, session: string): SessionTokens {
    const agentToken = encodeToken(agent);
    const sessionToken = encodeToken(session);
    return { agentToken, sessionToken, shard: shardOf(agentToken, sessionToken, this.shards) };
  }

  /** The subject on which ingress publishes; the server stores the message as `inboxSubject`. */
  ingestSubject(key: SessionTokens): string {
    return `${this.namespace}.in.${key.agentToken}.${key.sessionToken}`;
  }

  inboxSubject(key: SessionTokens): string {
    return `${this.namespace}.inbox.${key.shard}.${key.agentToken}.${key.sessionToken}`;
  }

  inboxShardFilter(shard: number): string {
    return `${this.namespace}.inbox.${shard}.>`;
  }

  turnsSubject(key: SessionTokens): string {
    return `${this.namespace}.turns.${key.shard}.${key.agentToken}.${key.sessionToken}`;
  }

  turnEventsSubject(key: SessionTokens): string {
    return `${this.namespace}.events.${key.shard}.${key.agentToken}.${key.sessionToken}.turn`;
  }

  /** Events of messages. Separate from `turnEventsSubject`, so that the last event there is the latest one of a turn. */
  messageEventsSubject(key: SessionTokens): string {
    return `${this.namespace}.events.${key.shard}.${key.agentToken}.${key.sessionToken}.out`;
  }

  deadSubject(key: SessionTokens, seq: number): string {
    return `${this.namespace}.dead.${key.shard}.${key.agentToken}.${key.sessionToken}.${seq}`;
  }

  /** Key in the bucket of numbers, with the id of the message that has used `sequence`. */
  numberKey(key: SessionTokens, sequence: number): string {
    return `${key.agentToken}.${key.sessionToken}.${sequence}`;
  }

  /**
   * Key in the same bucket, with the dead message after which an id was used again. It has two tokens, unlike a number's key.
   */
  reusedIdKey(dedupId: string): string {
    return `behind-dead.${dedupId}`;
  }

  /** Key of a task in the bucket of tasks. */
  taskKey(key: string): string {
    return taskKeyTokens(key).join('.');
  }

  /** All tasks of one scope: a session or a namespace. */
  taskKeysOfScope(scope: string): string {
    return `${encodeToken(scope)}.*`;
  }

  /** Events of a task, next to the sessions' events; a task without a scope has the scope `=`, which no text is encoded as. */
  taskEventsSubject(key: string): string {
    const tokens = taskKeyTokens(key);
    const [scope, name] = tokens.length === 1 ? ['=', tokens[0]] : tokens;
    return `${this.namespace}.events.tasks.${scope}.${name}.task`;
  }

  /** Answered by any replica of the guard. */
  guardSubject(operation: string): string {
    return `${this.namespace}.guard.tasks.${operation}`;
  }

  /** Answered by the shard's owner. */
  shardRpcSubject(shard: number): string {
    return `${this.namespace}.rpc.shard.${shard}`;
  }

  /** Answered by one process of a worker; `incarnation` is `<workerId>/<startId>`. */
  controlSubject(incarnation: string): string {
    return `${this.namespace}.ctl.${incarnation.replace('/', '.')}`;
  }

  /** The session of a stored subject of LK_INBOX or LK_TURNS (`<ns>.<kind>.<shard>.<agent>.<session>`). */
  parseSessionSubject(subject: string): SessionTokens {
    const [, , shard, agentToken, sessionToken] = subject.split('.');
    if (shard === undefined || agentToken === undefined || sessionToken === undefined) {
      throw new Error(`subject ${subject} is not <namespace>.<kind>.<shard>.<agent>.<session>`);
    }
    return { shard: Number(shard), agentToken, sessionToken };
  }
}
