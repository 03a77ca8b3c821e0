import { QUEUE_DEFAULTS, type SessionTokens } from '#contracts';
import type { BodyBudget } from './body-budget.js';
import { MAX_RECORD_MESSAGES } from './head.js';
import { checkSessionTokens } from './inbox-item.js';
import type { TurnRunner } from './lane-ports.js';
import type { LaneRun } from './lane-run.js';
import { Lane, type LaneHome, type LaneOptions } from './lane.js';

/** The lane of a session as its agent's settings have it; under tokens that name none it only rejects. */
export function makeLane(
  key: SessionTokens,
  home: LaneHome,
  turns: TurnRunner,
  budget: BodyBudget,
  startOf: (run: LaneRun) => number | undefined,
): Lane {
  const tokenProblem =
    checkSessionTokens(key) ?? (turns.knows(key) ? undefined : 'no agent of this name is configured');
  const options: LaneOptions =
    tokenProblem === undefined
      ? {
          budget,
          laneBuffer: turns.policyOf(key).laneBuffer,
          queueingOf: (message) => turns.queueingOf(key, message),
          taskOf: (message) => turns.tasks?.taskOf(key, message),
          isLookingAtTasks: turns.tasks?.lookAtTask !== undefined,
          startOf,
        }
      : { budget, laneBuffer: MAX_RECORD_MESSAGES, queueingOf: () => QUEUE_DEFAULTS };
  return new Lane(key, home, tokenProblem, options);
}
