import { checkBatches } from './checks/batches.js';
import { checkChain } from './checks/chain.js';
import { checkAccepted, checkDecidedOnce } from './checks/decided-once.js';
import { checkLateCalls } from './checks/late-calls.js';
import { checkOrder } from './checks/order.js';
import { checkDead, checkHealthy, checkProbes } from './checks/others.js';
import { checkOutsideHolders } from './checks/outside-holders.js';
import { checkResults } from './checks/results.js';
import { checkSecondCalls } from './checks/second-calls.js';
import { checkSerialCalls } from './checks/serial-calls.js';
import { checkTaskCalls } from './checks/task-calls.js';
import { checkTaskEnds } from './checks/task-ends.js';
import { checkTaskFailures } from './checks/task-failures.js';
import { checkTaskSteps } from './checks/task-steps.js';
import { checkTaskTokens } from './checks/task-tokens.js';
import type { History, Violation } from './history.js';
import { bySession } from './session-history.js';
import { holdingsOf } from './task-holdings.js';

/** Every breach of an invariant that a history shows; none means that all of them held. */
export function checkHistory(history: History): Violation[] {
  const sessions = bySession(history);
  const holdings = holdingsOf(history);
  return [
    ...history.mishaps.map((says): Violation => ({ invariant: 'alive', says })),
    ...checkAccepted(history),
    ...sessions.flatMap((session) => [
      ...checkDecidedOnce(session),
      ...checkOrder(session),
      ...checkChain(session),
      ...checkBatches(session),
      ...checkResults(session),
    ]),
    ...checkSerialCalls(history, sessions),
    ...checkSecondCalls(history, sessions),
    ...checkLateCalls(history),
    ...checkTaskSteps(history),
    ...checkTaskCalls(history, holdings),
    ...checkTaskFailures(history, holdings),
    ...checkTaskTokens(history, holdings),
    ...checkTaskEnds(history, holdings),
    ...checkOutsideHolders(history, holdings),
    ...checkProbes(history),
    ...checkHealthy(history),
    ...checkDead(history),
  ];
}
