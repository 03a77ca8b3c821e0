export { currentTurn, runAsCurrentTurn } from './current-turn.js';
export { EchoAgent } from './echo.provider.js';
export { applyAnswer, type HandlerAnswer, type TurnHandler } from './handler-answer.js';
export { HandlerExplorer } from './handler-explorer.provider.js';
export { AgentConnections } from './http/agent-connections.client.js';
export { AgentFailedError } from './http/agent-status.js';
export { callHttpAgent } from './http/http-agent.client.js';
export type { MessageVerdict } from './message-verdicts.js';
export { OnTurn } from './on-turn.decorator.js';
export { RethrowFilter } from './rethrow.filter.js';
export { Turn, TurnOverError, type ReplyContent, type TurnStart } from './turn.js';
export { toTurnMessage, type TurnMessage } from './turn-message.js';
export { StateMergeError, StateReadOnlyError, type StateMerge, type TurnState } from './turn-state.js';
export type { TurnSummary } from './turn-summary.js';
export {
  NoTasksError,
  TaskNameError,
  type HeldTaskView,
  type TaskKeeper,
  type TaskName,
  type TaskOptions,
  type TaskRun,
  type TurnTasks,
} from './turn-tasks.js';
