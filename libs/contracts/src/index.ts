export { checkBody, type BodyProblems, type CheckedBody } from './errors/body-check.js';
export { carriedJson, isJsonValue, makeJson, type MadeJson } from './json/carried-json.js';
export { systemClock, type Clock } from './clock.js';
export { closestName } from './errors/closest-name.js';
export { makeDeadId, parseDeadId, parseDeadLetter, type DeadLetter } from './record/dead-letter.js';
export { DECISIONS, OUTCOMES, type Decision, type Outcome } from './record/decisions.js';
export { describeValue } from './errors/describe-value.js';
export {
  BatchRefusedError,
  LanekeeperError,
  RetryLaterError,
  TerminalError,
  describeProblem,
  type AgentFinding,
  type InputProblem,
} from './errors/errors.js';
export { highestOfHead } from './record/head-mark.js';
export {
  decide,
  emptyHead,
  isDecided,
  MAX_DONE_RANGES,
  MAX_RECORD_MESSAGES,
  withSharedEmpties,
  type LoadedHead,
} from './record/head.js';
export { keyOfLane, laneId } from './naming/lane-id.js';
export { doublingWaitMs, retryWhile } from './backoff.js';
export {
  hasQuietWindow,
  hasWindow,
  isConcurrent,
  STRATEGIES,
  strategiesWith,
  STRATEGY_TABLE,
  type StrategyName,
} from './message/strategy-table.js';
export { HEADER } from './message/headers.js';
export { CANCELLED_BETWEEN_ATTEMPTS, isIdFree } from './record/id-reuse.js';
export { parseToWrite } from './json/json-numbers.js';
export { parseCarried, readJson } from './json/json-read.js';
export { JsonText, jsonText, withMember, writeJson, writeJsonObject } from './json/json-text.js';
export { MAX_JSON_DEPTH, type CarriedMembers, type JsonFault } from './json/json-walk.js';
export type { LaneEvent } from './record/lane-events.js';
export {
  LOCK_SCOPES,
  defaultLockScope,
  platformOf,
  sessionKeyFor,
  type LockScope,
  type Place,
  type SessionKeyResult,
} from './naming/lock-scope.js';
export {
  AGENT_NAME_PATTERN,
  MAX_MESSAGE_ID_CHARS,
  MAX_STORED_BYTES,
  MAX_TEXT_BYTES,
  channelMessageBody,
  checkChannelMessageBody,
  checkSendMessageBody,
  isMessageId,
  parseInboxEntry,
  sendMessageBody,
  unreadableId,
  writeInboxEntry,
  type CancelTarget,
  type ChannelMessageBody,
  type ControlMessage,
  type InboxEntry,
  type InboxMessage,
  type MessageTask,
  type SendMessageBody,
} from './message/message.js';
export { dedupId } from './naming/message-id.js';
export { DEFAULT_SHARDS, NAMESPACE_PATTERN, Names, type SessionTokens } from './naming/names.js';
export {
  MAX_NOTE_STATE_BYTES,
  MAX_RECORD_BYTES,
  MAX_STATE_BYTES,
  headOf,
  parseRecord,
  type Head,
  type HeldTask,
  type MessageDecision,
  type NoteRecord,
  type NoteReply,
  type Reply,
  type RunInWork,
  type SequenceRange,
  type SessionRecord,
  type TurnRecord,
} from './record/record.js';
export { makeRunId, parseRunId } from './naming/run-id.js';
export { agentName, sessionNames } from './naming/session-names.js';
export type { SessionAnswer, SessionQuestion } from './record/session-status.js';
export { shardOf } from './naming/shard.js';
export { nameKind, showValue } from './errors/show-value.js';
export {
  FULL_QUEUE_POLICIES,
  OVERFLOW_ACTIONS,
  QUEUE_DEFAULTS,
  STRATEGY_ALIASES,
  STRATEGY_WORDS,
  longestWindowMs,
  wantedStrategy,
  withStrategy,
  type FullQueuePolicy,
  type OverflowAction,
  type QueueSettings,
} from './message/strategies.js';
export {
  STALE_POLICIES,
  TASK_DEFAULTS,
  TASK_LIMITS,
  TASK_REQUESTS,
  TASK_STATES,
  checkTaskRequest,
  stalePolicy,
  taskMaxAttempts,
  taskNamespace,
  taskTtlMs,
  type AcquireAnswer,
  type AcquireRequest,
  type ApproveAnswer,
  type ApproveRequest,
  type EndAnswer,
  type EndRequest,
  type GuardCall,
  type GuardReply,
  type NotHeld,
  type ReleaseAnswer,
  type ReleaseRequest,
  type RenewAnswer,
  type RenewRequest,
  type StalePolicy,
  type TaskAnswers,
  type TaskConflict,
  type TaskError,
  type TaskOperation,
  type TaskState,
} from './message/task-guard.js';
export {
  MAX_TASK_KEY_BYTES,
  isTaskName,
  isTaskNamespace,
  makeTaskKey,
  parseTaskKeyTokens,
  sessionTaskKey,
  sessionTaskScope,
  taskKeyProblem,
  taskKeyTokens,
} from './naming/task-key.js';
export { MAX_EXCERPT_CHARS, boundedError, describeThrown, type DescribedError } from './errors/thrown.js';
export { MAX_SESSION_KEY_BYTES, decodeToken, encodeToken } from './naming/tokens.js';
export { parseTurnStarted, type TurnStartedEvent } from './record/turn-events.js';
export { decodeUtf8 } from './json/utf8.js';
export { inOurWords } from './errors/wanted.js';
export { checkAnswer, type Answer, type CheckedAnswer } from './operators/check-answer.js';
export {
  deadDrop,
  deadList,
  deadMessage,
  deadRetry,
  type DeadDrop,
  type DeadList,
  type DeadMessage,
  type DeadRetry,
  type DeadSummary,
} from './operators/dead-messages.js';
export {
  sessionTurns,
  sessionView,
  type SessionTask,
  type SessionTurns,
  type SessionView,
} from './operators/sessions.js';
export {
  taskApproval,
  taskEnd,
  taskList,
  taskView,
  type TaskApproval,
  type TaskCounts,
  type TaskEnd,
  type TaskList,
  type TaskStep,
  type TaskView,
} from './operators/tasks.js';
export { toldByWorker, workerList, type WorkerEntry, type WorkerList } from './operators/workers.js';
