import { QUEUE_DEFAULTS, type SessionTokens } from '#contracts';
import type { BodyBudget } from './body-budget.js';
import { MAX_RECORD_MESSAGES } from './head.js';
import { checkSessionTokens } from './inbox-item.js';
import type { TurnRunner } from './lane-ports.js';
import type { LaneRun } from './lane-run.js';
import type { LaneTime } from './lane-time.js';
import type { LaneOptions } from './lane.js';

/** The options of lanes as their agents' settings have them: one for all lanes of an agent, since lanes are many. */
export class LaneOptionsOfAgents {
  private readonly known = new Map<string, LaneOptions>();

  constructor(
    private readonly turns: TurnRunner,
    private readonly budget: BodyBudget,
    private readonly startOf: (run: LaneRun) => number | undefined,
    private readonly time: LaneTime,
  ) {}

  /** Under tokens that name no session of an agent we have, the lane only rejects. */
  of(key: SessionTokens): LaneOptions {
    const tokenProblem =
      checkSessionTokens(key) ?? (this.turns.knows(key) ? undefined : 'no agent of this name is configured');
    // What the tokens may be is up to who publishes: kept would be only what the settings name.
    if (tokenProblem !== undefined) return this.rejecting(tokenProblem);
    const { agentToken } = key;
    const known = this.known.get(agentToken) ?? this.ofAgent(key);
    this.known.set(agentToken, known);
    return known;
  }

  private ofAgent(key: SessionTokens): LaneOptions {
    const { turns, budget, startOf, time } = this;
    return {
      budget,
      laneBuffer: turns.policyOf(key).laneBuffer,
      ownQueueing: turns.queueingOf(key),
      queueingOf: (asked, message) => turns.queueingOf(asked, message),
      taskOf: (asked, message) => turns.tasks?.taskOf(asked, message),
      isLookingAtTasks: turns.tasks?.lookAtTask !== undefined,
      startOf,
      time,
    };
  }

  private rejecting(tokenProblem: string): LaneOptions {
    const { budget } = this;
    const queueing = { ownQueueing: QUEUE_DEFAULTS, queueingOf: () => QUEUE_DEFAULTS };
    return { budget, laneBuffer: MAX_RECORD_MESSAGES, ...queueing, tokenProblem };
  }
}
