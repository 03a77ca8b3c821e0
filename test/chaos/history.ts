import type { CancelTarget, SessionRecord, TaskStep } from '#contracts';

/**
 * What happened in a run, as data: what was asked for, what the streams hold afterwards, what the agent saw, and what was
 * done to the processes. All times are ms since the epoch, by the one clock of the machine, but for those of tasks: which guard
 * wrote a step does not stand there.
 */
export interface History {
  /** Of the membership of workers. */
  readonly ttlMs: number;
  readonly renewMs: number;
  /** How far the clock of a guard may be beside that of the machine. */
  readonly guardClocksMs: number;
  readonly accepted: readonly Accepted[];
  /** By sequence. */
  readonly inbox: readonly InboxLine[];
  /** By sequence. */
  readonly records: readonly RecordLine[];
  readonly dead: readonly DeadLine[];
  readonly starts: readonly StartLine[];
  /** Of each task in the order in which it happened. */
  readonly tasks: readonly TaskLine[];
  readonly approvals: readonly Approval[];
  /** Of those who hold tasks over HTTP. */
  readonly outside: readonly OutsideHolding[];
  readonly outsideAnswers: readonly OutsideAnswer[];
  readonly calls: readonly Call[];
  readonly lives: readonly LifeLine[];
  readonly faults: readonly FaultLine[];
  /** When it could not be seen which workers renew their memberships. */
  readonly blind: readonly Span[];
  /** What went wrong beside the invariants: a process that ended by itself, a part that did not heal. */
  readonly mishaps: readonly string[];
}

export interface Span {
  readonly from: number;
  readonly to: number;
}

/** A 202. */
export interface Accepted {
  readonly session: string;
  readonly id: string;
  readonly seq: number;
  readonly duplicate: boolean;
  readonly at: number;
}

export interface InboxLine {
  readonly session: string;
  readonly seq: number;
  readonly id: string;
  readonly at: number;
  /** Empty = none. */
  readonly thread: string;
  /** Of an order to cancel; a message has none. */
  readonly cancels?: CancelTarget;
  /** The key of the task that it starts, or that its handler runs. */
  readonly task?: string;
  /** Its handler goes on without the task when there is no guard to ask. */
  readonly mayBeUnguarded?: true;
}

export interface RecordLine {
  readonly session: string;
  readonly seq: number;
  readonly at: number;
  /** The sequence that its writer took for that of the session's last record. */
  readonly expected: number;
  readonly record: SessionRecord;
}

export interface DeadLine {
  readonly session: string;
  /** Of the message. */
  readonly seq: number;
}

/** What a worker announced when it began a turn; not in an outage. */
export interface StartLine {
  readonly runId: string;
  readonly attempt: number;
  readonly incarnation: string;
  readonly at: number;
}

/** A step in the life of a task, as it stood in the guard's entry, by the clock of whichever guard wrote it. */
export interface TaskLine extends TaskStep {
  readonly key: string;
  /** Of an `acquired`, when it was seen. */
  readonly token?: number;
}

/** An approval that the operator was told is given. */
export interface Approval {
  readonly key: string;
  readonly runId: string;
  readonly at: number;
}

/** A task that a program outside got over HTTP. */
export interface OutsideHolding {
  readonly key: string;
  readonly runId: string;
  readonly token: number;
  /** When the answer came. */
  readonly from: number;
  /** When it stopped to work, by its own clock: when it was done, or when its time had to be over. */
  readonly to: number;
  /** After that no caller may be told that it runs; absent when a request of it had no answer. */
  readonly blocksUntil: number | undefined;
}

/** What others were told while they waited for such a holder; or that one whose time was over was renewed. */
export interface OutsideAnswer {
  readonly kind: 'already_running' | 'renewed';
  readonly key: string;
  /** Of the holder. */
  readonly runId: string;
  readonly token?: number;
  readonly askedAt: number;
}

/** One request to the agent. */
export interface Call {
  /** Counts all calls; the answer names it. */
  readonly n: number;
  readonly session: string;
  readonly runId: string;
  readonly attempt: number;
  readonly messages: readonly { readonly id: string; readonly seq: number }[];
  /** The task that its message starts, as the agent was told. */
  readonly task?: { readonly key: string; readonly token: number };
  /** Of everything that the agent got but attempt, deadline and task. */
  readonly digest: string;
  /** Which process asked. */
  readonly life: string;
  readonly startedAt: number;
  readonly endedAt: number;
  /** The caller closed the request; no caller waited for the answer any more. */
  readonly isHungUp: boolean;
  /** The agent answered with an error, or broke the connection. */
  readonly isFailure: boolean;
}

/** One process of a worker, from its start to its end. */
export interface LifeLine {
  readonly name: string;
  readonly startedAt: number;
  /** When it was killed, or had left; absent = to the end of the run. */
  readonly endedAt?: number;
  /** Known once it has joined. */
  readonly incarnation?: string;
  /** When its membership was seen to be renewed, ascending. */
  readonly renewedAt: readonly number[];
  readonly stopped: readonly Span[];
  /** When the network lost what it said or heard, or its node of the broker was out of reach of the others. */
  readonly cutOff: readonly Span[];
  /** When it was told to end by itself: what runs at the end of its budget is handed back. */
  readonly toldToStopAt?: number;
}

export interface FaultLine extends Span {
  readonly kind: string;
  readonly target: string;
}

/** What a run must never show, and what it found instead. */
export interface Violation {
  readonly invariant: 'L1' | 'L2' | 'L3' | 'L4' | 'L5' | 'L6' | 'L7' | 'L8' | 'G1' | 'G2' | 'G3' | 'G4' | 'alive';
  readonly says: string;
  /** Where and when it shows; absent when it is about no session. */
  readonly session?: string;
  readonly at?: number;
}
