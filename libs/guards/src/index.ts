export { GuardClient, GuardRefusedError, GuardUnavailableError, type GuardCallOptions } from './guard.client.js';
export { KvTaskStore } from './kv-task-store.client.js';
export { isOpenTask, TaskDirectory, type TaskQuery } from './task-directory.client.js';
export type { TaskEvent } from './task-events.js';
export { TaskGuard, UnreadableTaskError, type TaskGuardOptions } from './task-guard.js';
export { TaskHolding, TaskLostError } from './task-holding.js';
export { TaskLookup } from './task-lookup.js';
export { TaskIndex } from './task-index.js';
export { TaskWatch } from './task-watch.consumer.js';
