export { checkBody, type BodyProblems, type CheckedBody } from './body-check.js';
export { carriedJson, isJsonValue, makeJson, type MadeJson } from './carried-json.js';
export { systemClock, type Clock } from './clock.js';
export { closestName } from './closest-name.js';
export { makeDeadId, parseDeadId, parseDeadLetter, type DeadLetter } from './dead-letter.js';
export { DECISIONS, OUTCOMES, type Decision, type Outcome } from './decisions.js';
export { describeValue } from './describe-value.js';
export {
  BatchRefusedError,
  LanekeeperError,
  RetryLaterError,
  TerminalError,
  describeProblem,
  type AgentFinding,
  type InputProblem,
} from './errors.js';
export { highestOfHead } from './head-mark.js';
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
export { hasWindow, isParallel, STRATEGY_TABLE } from './message/strategy-table.js';
export { HEADER } from './headers.js';
export { CANCELLED_BETWEEN_ATTEMPTS, isIdFree } from './id-reuse.js';
export { parseToWrite } from './json-numbers.js';
export { parseCarried, readJson } from './json-read.js';
export { JsonText, jsonText, withMember, writeJson, writeJsonObject } from './json-text.js';
export { MAX_JSON_DEPTH, type CarriedMembers, type JsonFault } from './json-walk.js';
export type { LaneEvent } from './lane-events.js';
export {
  LOCK_SCOPES,
  defaultLockScope,
  platformOf,
  sessionKeyFor,
  type LockScope,
  type Place,
  type SessionChoice,
} from './lock-scope.js';
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
} from './message.js';
export { dedupId } from './message-id.js';
export { DEFAULT_SHARDS, NAMESPACE_PATTERN, Names, type SessionTokens } from './names.js';
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
} from './record.js';
export { makeRunId, parseRunId } from './run-id.js';
export { agentName, sessionNames } from './session-names.js';
export type { SessionAnswer, SessionQuestion } from './session-status.js';
export { shardOf } from './shard.js';
export { nameKind, showValue } from './show-value.js';
export {
  FULL_QUEUE_POLICIES,
  OVERFLOW_ACTIONS,
  QUEUE_DEFAULTS,
  STRATEGIES,
  STRATEGY_ALIASES,
  STRATEGY_WORDS,
  hasQuietWindow,
  longestWindowMs,
  wantedStrategy,
  withStrategy,
  type FullQueuePolicy,
  type OverflowAction,
  type QueueSettings,
  type StrategyName,
} from './strategies.js';
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
  type TaskStep,
  type TaskView,
} from './task-guard.js';
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
} from './task-key.js';
export { MAX_EXCERPT_CHARS, boundedError, describeThrown, type DescribedError } from './thrown.js';
export { MAX_SESSION_KEY_BYTES, decodeToken, encodeToken } from './tokens.js';
export { parseTurnStarted, type TurnStartedEvent } from './turn-events.js';
export { decodeUtf8 } from './utf8.js';
export { inOurWords } from './wanted.js';
