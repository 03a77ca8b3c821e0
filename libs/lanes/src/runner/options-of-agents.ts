import { QUEUE_DEFAULTS, type QueueSettings, type SessionTokens, MAX_RECORD_MESSAGES } from '#contracts';
import type { BodyBudget } from '../backlog/body-budget.js';
import { checkSessionTokens } from '../backlog/inbox-item.js';
import type { TurnRunner } from '../ports.js';
import type { LaneTime } from '../lane/lane-time.js';
import type { LaneOptions, LaneRun } from '../lane/lane.js';

/** Where the agent is not known, its queueing is not either: nothing is dropped or expires by what others have. */
const UNKNOWN_QUEUEING: QueueSettings = {
  ...QUEUE_DEFAULTS,
  maxQueueSize: Number.POSITIVE_INFINITY,
  queueEntryTtlMs: Number.POSITIVE_INFINITY,
};

/** The options of lanes as their agents' settings have them: one for all lanes of an agent, since lanes are many. */
export class LaneOptionsOfAgents {
  private readonly known = new Map<string, LaneOptions>();
  private madeWaiting: LaneOptions | undefined;

  constructor(
    private readonly turns: TurnRunner,
    private readonly budget: BodyBudget,
    private readonly startOf: (run: LaneRun) => number | undefined,
    private readonly time: LaneTime,
  ) {}

  /** Under tokens that name no session the lane only rejects; of an agent that is missing here, it only waits. */
  of(key: SessionTokens): LaneOptions {
    const tokenProblem = checkSessionTokens(key);
    // Any publisher chooses the tokens: options are kept only for agents that the settings name, or the map could grow for
    // ever.
    if (tokenProblem !== undefined) return this.rejecting(tokenProblem);
    if (!this.turns.knows(key)) return (this.madeWaiting ??= this.waiting());
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

  /** It keeps no bodies: what it holds of each message is a number, however long its agent is away. */
  private waiting(): LaneOptions {
    const { budget, time } = this;
    const queueing = { ownQueueing: UNKNOWN_QUEUEING, queueingOf: () => UNKNOWN_QUEUEING };
    return { budget, laneBuffer: 0, ...queueing, isAgentMissing: true, time };
  }

  private rejecting(tokenProblem: string): LaneOptions {
    const { budget } = this;
    const queueing = { ownQueueing: QUEUE_DEFAULTS, queueingOf: () => QUEUE_DEFAULTS };
    return { budget, laneBuffer: MAX_RECORD_MESSAGES, ...queueing, tokenProblem };
  }
}
