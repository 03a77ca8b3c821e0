import { hasQuietWindow, hasWindow, isConcurrent, STRATEGY_TABLE, strategiesWith, type StrategyName } from '#contracts';
import {
  GUIDE_WORD,
  settleLevels,
  type ChoiceName,
  type QueueChoices,
  type QueueingLevel,
  type QueueingPlan,
  type WrittenChoice,
} from './queueing-plan.js';
import type { RuleProblem } from '../rule-problem.js';

/**
 * Finds choices without effect, because another choice makes them meaningless: their author expects something other than what
 * would happen. A choice without effect for only some agents is allowed, as a common setting of several agents.
 */
export function findIdleChoices({ levels, cases }: QueueingPlan): RuleProblem[] {
  return levels.flatMap((level) =>
    level.flatMap((choice) => {
      // The guide's value 1 is what all other strategies do anyway.
      const isTrue = choice.path.at(-1) === GUIDE_WORD && choice.value === 1;
      const reason = isTrue ? undefined : (idleBeside(choice, level) ?? idleEverywhere(choice, cases));
      if (reason === undefined) return [];
      const { found, wanted, remedy } = reason;
      return [{ path: choice.path, found, wanted, remedy }];
    }),
  );
}

interface IdleReason extends Omit<RuleProblem, 'path'> {
  /** The choice that makes the other one ineffective. */
  readonly because: ChoiceName;
}

/** Both are in the same place, so they are meant for the same agents. */
function idleBeside({ name }: WrittenChoice, level: QueueingLevel): IdleReason | undefined {
  const reason = whyIdle(name, settleLevels([level]).choices);
  return level.some((other) => other.name === reason?.because) ? reason : undefined;
}

function idleEverywhere(choice: WrittenChoice, cases: QueueingPlan['cases']): IdleReason | undefined {
  const reasons = cases
    .filter(({ decidedBy }) => decidedBy.get(choice.name)?.written === choice)
    .map(({ choices }) => whyIdle(choice.name, choices));
  return reasons.every((reason) => reason !== undefined) ? reasons[0] : undefined;
}

function whyIdle(name: ChoiceName, choices: QueueChoices): IdleReason | undefined {
  return WHY_IDLE[name]?.(choices);
}

const WHY_IDLE: Partial<Record<ChoiceName, (choices: QueueChoices) => IdleReason | undefined>> = {
  debounceMs: ({ strategy }) =>
    hasWindow(strategy)
      ? undefined
      : idleByStrategy(`a window with strategy ${strategy}, which waits for none`, WITH_WINDOW),
  maxDebounceMs: ({ strategy }) =>
    hasQuietWindow(strategy)
      ? undefined
      : idleByStrategy(`a cap on quiet windows with strategy ${strategy}, which has none`, WITH_QUIET_WINDOW),
  maxConcurrent: ({ strategy }) => (isConcurrent(strategy) ? undefined : whySerial(strategy)),
  gapTimeoutMs: ({ gapTimeoutMs, queueTimeoutMs }) =>
    queueTimeoutMs === undefined || queueTimeoutMs > gapTimeoutMs
      ? undefined
      : whyEndsBefore(gapTimeoutMs, queueTimeoutMs),
  maxTurnMessages: whyOneIsTaken,
  maxTurnBytes: whyOneIsTaken,
  maxQueueSize: whyNothingWaits,
  onQueueFull: (choices) => whyNothingWaits(choices) ?? whyNeverFull(choices),
  queueEntryTtlMs: (choices) => whyNothingWaits(choices) ?? whyTimedOutBefore(choices),
  busyMessage: ({ overflowAction }) =>
    overflowAction !== 'silent'
      ? undefined
      : {
          because: 'overflowAction',
          found: 'a text with overflowAction silent, which says nothing',
          wanted: 'no text, or overflowAction busy-message',
          remedy: 'leave out one of the two',
        },
};

const WITH_WINDOW = strategiesWith(({ window }) => window !== 'none');
const WITH_QUIET_WINDOW = strategiesWith(({ window }) => window === 'quiet');
const TAKING_SEVERAL = strategiesWith(({ take }) => take !== 'one');
const QUEUEING = strategiesWith(({ busy }) => busy !== 'drop');
const CONCURRENT = strategiesWith(({ busy }) => busy === 'concurrent');

/** British English has no comma before the last one. */
const EITHER = new Intl.ListFormat('en-GB', { type: 'disjunction' });

function idleByStrategy(found: string, strategies: readonly StrategyName[]): IdleReason {
  const either = EITHER.format(strategies);
  return {
    because: 'strategy',
    found,
    wanted: `strategy ${either} with it`,
    remedy: `leave it out, or set strategy to ${either} in the same place`,
  };
}

/** Except for a full queue that becomes a summary. */
function whyOneIsTaken({ strategy, onQueueFull }: QueueChoices): IdleReason | undefined {
  const { take, busy } = STRATEGY_TABLE[strategy];
  if (take !== 'one' || (busy !== 'drop' && onQueueFull === 'summarize')) return undefined;
  return idleByStrategy(
    `a cap on what a turn takes with strategy ${strategy}, with which it takes one message`,
    TAKING_SEVERAL,
  );
}

/** People mostly mean a limit over all sessions; a parallel strategy would take away the order that they have without it. */
function whySerial(strategy: StrategyName): IdleReason {
  return {
    because: 'strategy',
    found: `a limit of turns of one session at once with strategy ${strategy}, which runs one after another`,
    wanted: 'none: sessions run side by side, and each is serial anyway',
    remedy:
      'leave it out; to limit the turns of all sessions of a worker, set worker.capacity. ' +
      `Only strategy ${EITHER.format(CONCURRENT)} in the same place takes it, ` +
      'and gives up the order of a session: its turns run beside each other, and may not set its state',
  };
}

function whyNothingWaits({ strategy }: QueueChoices): IdleReason | undefined {
  if (STRATEGY_TABLE[strategy].busy !== 'drop') return undefined;
  return idleByStrategy(`a limit of waiting messages with strategy ${strategy}, with which none wait`, QUEUEING);
}

function whyNeverFull({ maxQueueSize }: QueueChoices): IdleReason | undefined {
  if (maxQueueSize !== Number.POSITIVE_INFINITY) return undefined;
  return {
    because: 'maxQueueSize',
    found: 'a choice for a full queue with a maxQueueSize of "unlimited", which is never full',
    wanted: 'a number as maxQueueSize with it',
    remedy: 'leave it out, or set maxQueueSize to a number',
  };
}

function whyTimedOutBefore({ queueEntryTtlMs, queueTimeoutMs }: QueueChoices): IdleReason | undefined {
  if (queueTimeoutMs === undefined || queueTimeoutMs > queueEntryTtlMs) return undefined;
  return whyEndsBefore(queueEntryTtlMs, queueTimeoutMs);
}

function whyEndsBefore(waitMs: number, queueTimeoutMs: number): IdleReason {
  return {
    because: 'queueTimeoutMs',
    found: `${waitMs} with a queueTimeoutMs of ${queueTimeoutMs}, which always ends before`,
    wanted: 'less than queueTimeoutMs',
    remedy: `set it below ${queueTimeoutMs}, or leave it out`,
  };
}
