import { hasQuietWindow, longestWindowMs, type StrategyName } from '#contracts';
import { planQueueing, type ChoiceName, type QueueingCase, type QueueingLevel } from './queueing-plan.js';
import { findIdleChoices } from './idle-choices.js';
import { dotted } from '../loading/setting-places.js';
import type { RuleProblem } from '../rule-problem.js';
import type { CheckedSettings } from '../settings.js';

/**
 * Rules over the settings for messages that overlap. They are checked for each agent on each platform, so that the parts of a
 * contradiction may be in any places; a problem is reported once, at the most specific place.
 */
export function checkQueueing(settings: CheckedSettings): RuleProblem[] {
  const plan = planQueueing(settings);
  const problems = [
    ...noForcedLocks(settings),
    ...noDefaultsOfChannels(settings),
    ...plan.levels.flatMap(eachOnce),
    ...plan.cases.flatMap((one) => [quietFitsCap(one), ...WAIT_LIMITS.map((limit) => outlastsWindow(one, limit))]),
    ...findIdleChoices(plan),
  ];
  const byField = new Map<string, RuleProblem>();
  for (const problem of problems) {
    if (problem !== undefined && !byField.has(dotted(problem.path))) byField.set(dotted(problem.path), problem);
  }
  return [...byField.values()];
}

function noForcedLocks({ onLockConflict, agents }: CheckedSettings): RuleProblem[] {
  const places: [RuleProblem['path'], string | undefined][] = [
    [['onLockConflict'], onLockConflict],
    ...Object.entries(agents).map(([name, own]): [RuleProblem['path'], string | undefined] => [
      ['agents', name, 'onLockConflict'],
      own.onLockConflict,
    ]),
  ];
  return places
    .filter(([, value]) => value === 'force')
    .map(([path]) => ({
      path,
      found: '"force", with which two turns of a session would run at once',
      wanted: 'drop, or a strategy',
      remedy: 'leave it out, and messages wait for the running turn (strategy: queue)',
    }));
}

/** By analogy with agents it looks like settings for all platforms; but no message comes from a platform of that name. */
function noDefaultsOfChannels({ channels }: CheckedSettings): RuleProblem[] {
  if (!Object.hasOwn(channels, 'defaults')) return [];
  return [
    {
      path: ['channels', 'defaults'],
      found: 'settings for a platform called defaults',
      wanted: 'names of platforms, e.g. telegram',
      remedy: 'set it in agents.defaults, which holds for all platforms',
    },
  ];
}

/** With two words for one choice it would be undefined which one counts. */
function eachOnce(level: QueueingLevel): RuleProblem[] {
  return level.flatMap((choice, index) => {
    const first = level.slice(0, index).find(({ name }) => name === choice.name);
    if (first === undefined) return [];
    return [
      {
        path: choice.path,
        found: `${dotted(first.path)} beside it`,
        wanted: `one of them: both are ${choice.name}`,
        remedy: `leave out ${dotted(choice.path)} or ${dotted(first.path)}`,
      },
    ];
  });
}

/** A cap shorter than the window would turn every quiet window into a fixed one. */
function quietFitsCap(one: QueueingCase): RuleProblem | undefined {
  const { strategy, debounceMs, maxDebounceMs } = one.choices;
  if (!hasQuietWindow(strategy) || debounceMs <= maxDebounceMs) return undefined;
  return {
    path: nearest(one, ['maxDebounceMs', 'debounceMs'], 'strategy'),
    found: `debounceMs ${debounceMs} with maxDebounceMs ${maxDebounceMs} ${whose(one)}`,
    wanted: 'a maxDebounceMs of at least debounceMs',
    remedy: `set maxDebounceMs to ${debounceMs} or more, or debounceMs to ${maxDebounceMs} or less`,
  };
}

const WAIT_LIMITS = ['queueEntryTtlMs', 'queueTimeoutMs'] as const;

function outlastsWindow(one: QueueingCase, limit: (typeof WAIT_LIMITS)[number]): RuleProblem | undefined {
  const { strategy } = one.choices;
  const limitMs = one.choices[limit];
  const windowMs = longestWindowMs(one.choices);
  if (limitMs === undefined || limitMs > windowMs) return undefined;
  const window = windowSetting(strategy);
  return {
    path: nearest(one, [limit, window], 'strategy'),
    found: `${limit} ${limitMs} with ${window} ${windowMs} ${whose(one)}`,
    wanted: `a ${limit} above ${window}: else messages of ${strategy} may expire while they wait for its window`,
    remedy: `set ${limit} to ${windowMs + 1} or more, or ${window} below ${limitMs}`,
  };
}

function windowSetting(strategy: StrategyName): 'debounceMs' | 'maxDebounceMs' {
  return hasQuietWindow(strategy) ? 'maxDebounceMs' : 'debounceMs';
}

/** The place of the most specific of these choices; when all are defaults, the place of `otherwise`. */
function nearest(
  { decidedBy, agent }: QueueingCase,
  names: readonly ChoiceName[],
  otherwise: ChoiceName,
): RuleProblem['path'] {
  const found = names
    .flatMap((name) => decidedBy.get(name) ?? [])
    .toSorted((one, other) => other.nearness - one.nearness);
  return (found[0] ?? decidedBy.get(otherwise))?.written.path ?? ['agents', agent];
}

function whose({ agent, platform }: QueueingCase): string {
  return platform === undefined ? `for agent ${agent}` : `for agent ${agent} on ${platform}`;
}
