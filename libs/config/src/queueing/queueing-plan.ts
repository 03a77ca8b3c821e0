import { QUEUE_DEFAULTS, STRATEGY_ALIASES, type LockScope, type QueueSettings } from '#contracts';
import { MODE_ALIASES } from './openclaw-spelling.js';
import type { CheckedSettings } from '../settings.js';

/**
 * Which settings decide how messages wait: the ones for all agents, overridden by an agent's, overridden by the channel's.
 * Each level may use the names of several systems. Here they get one form, and remember where they were written, so that
 * rules can name what people wrote.
 */

export interface QueueChoices extends QueueSettings {
  readonly lockScope?: LockScope | undefined;
}
export type ChoiceName = keyof QueueChoices;
export type WrittenPath = readonly [string, ...string[]];

/** One setting as it was written. */
export interface WrittenChoice {
  readonly path: WrittenPath;
  readonly name: ChoiceName;
  readonly value: unknown;
}

/** All choices in one place of the settings. */
export type QueueingLevel = readonly WrittenChoice[];

/** The effective choices for an agent, on one platform or on the platforms without settings of their own. */
export interface QueueingCase {
  readonly agent: string;
  readonly platform?: string | undefined;
  readonly choices: QueueChoices;
  /** Which written choice decided each non-default value, and how specific its place is. */
  readonly decidedBy: ReadonlyMap<ChoiceName, { readonly written: WrittenChoice; readonly nearness: number }>;
}

export interface QueueingPlan {
  readonly levels: readonly QueueingLevel[];
  readonly cases: readonly QueueingCase[];
}

/** They always exist. A handler of the same name runs them; `main` without a handler uses the built-in echo. */
const BUILT_IN_AGENTS: readonly string[] = ['main', 'echo'];

export function agentNames({ agents }: CheckedSettings): string[] {
  return [...new Set([...BUILT_IN_AGENTS, ...Object.keys(agents)])].filter((name) => name !== 'defaults');
}

export function planQueueing(settings: CheckedSettings): QueueingPlan {
  const forAll = [
    ...choicesOf(settings, []),
    ...choicesOf(settings.agent?.concurrency, ['agent', 'concurrency']),
    ...choicesOf(settings.sessions, ['sessions']),
    ...choicesOf(settings.messages?.queue, ['messages', 'queue']),
    ...choicesOf(own(settings.agents, 'defaults'), ['agents', 'defaults']),
  ];
  const agents = agentNames(settings).map((name) => ({
    name,
    level: choicesOf(own(settings.agents, name), ['agents', name]),
  }));
  const modes = settings.messages?.queue?.byChannel ?? {};
  const platforms = [...new Set([...Object.keys(settings.channels), ...Object.keys(modes)])];
  const channels = platforms.map((platform) => ({
    platform,
    level: [
      ...choicesOf(own(settings.channels, platform), ['channels', platform]),
      ...modeOf(own(modes, platform), ['messages', 'queue', 'byChannel', platform]),
    ],
  }));
  const cases = agents.flatMap(({ name, level }) => [
    { agent: name, ...settleLevels([forAll, level]) },
    ...channels.map((channel) => ({
      agent: name,
      platform: channel.platform,
      ...settleLevels([forAll, level, channel.level]),
    })),
  ]);
  return { levels: [forAll, ...[...agents, ...channels].map(({ level }) => level)], cases };
}

/** Agents may be called like a member of Object.prototype. */
function own<T>(values: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(values, name) ? values[name] : undefined;
}

const CHOICE_NAMES: readonly ChoiceName[] = [
  'strategy',
  'maxQueueSize',
  'onQueueFull',
  'queueEntryTtlMs',
  'queueTimeoutMs',
  'overflowAction',
  'busyMessage',
  'debounceMs',
  'maxDebounceMs',
  'maxConcurrent',
  'gapTimeoutMs',
  'maxTurnMessages',
  'maxTurnBytes',
  'lockScope',
];

/** The setting names of each choice. */
const CHOICE_OF_WORD: ReadonlyMap<string, ChoiceName> = new Map<string, ChoiceName>([
  ...CHOICE_NAMES.map((name): [string, ChoiceName] => [name, name]),
  ['cap', 'maxQueueSize'],
  ['drop', 'onQueueFull'],
  ['mode', 'strategy'],
  ['onLockConflict', 'strategy'],
  ['queue_timeout_ms', 'queueTimeoutMs'],
  ['overflow_action', 'overflowAction'],
  ['id_source', 'lockScope'],
]);

const VALUE_OF_WORD: Partial<Record<ChoiceName, Readonly<Record<string, unknown>>>> = {
  strategy: { ...STRATEGY_ALIASES, ...MODE_ALIASES },
  maxConcurrent: { unlimited: Number.POSITIVE_INFINITY },
  maxQueueSize: { unlimited: Number.POSITIVE_INFINITY },
  onQueueFull: { old: 'drop-oldest', new: 'drop-newest' },
  overflowAction: { return_busy_message: 'busy-message' },
  lockScope: { user_id: 'user' },
};

function choicesOf(values: object | undefined, path: readonly string[]): WrittenChoice[] {
  return Object.entries(values ?? {}).flatMap(([word, value]) => {
    const here: WrittenPath = [...path, word] as unknown as WrittenPath;
    if (word === 'concurrency') {
      return typeof value === 'string' ? [written('strategy', value, here)] : choicesOf(value as object, here);
    }
    if (word === GUIDE_WORD && value !== undefined) return ofGuide(value as number, here);
    const name = CHOICE_OF_WORD.get(word);
    // A rule refuses `force`; it is not a strategy.
    const isForce = word === 'onLockConflict' && value === 'force';
    return name === undefined || value === undefined || isForce ? [] : [written(name, value, here)];
  });
}

function modeOf(mode: string | undefined, here: WrittenPath): WrittenChoice[] {
  return mode === undefined ? [] : [written('strategy', mode, here)];
}

export const GUIDE_WORD = 'max_concurrent_per_session';

/** The guide has no strategy of its own: a number of turns above 1 is all that it says. */
function ofGuide(turns: number, here: WrittenPath): WrittenChoice[] {
  const limit = written('maxConcurrent', turns, here);
  return turns === 1 ? [limit] : [limit, written('strategy', 'concurrent', here)];
}

function written(name: ChoiceName, value: unknown, path: WrittenPath): WrittenChoice {
  return { path, name, value: VALUE_OF_WORD[name]?.[String(value)] ?? value };
}

type Decision = Pick<QueueingCase, 'choices' | 'decidedBy'>;

/** Later levels win, choice by choice. */
export function settleLevels(levels: readonly QueueingLevel[]): Decision {
  const decidedBy = new Map<ChoiceName, { written: WrittenChoice; nearness: number }>();
  levels.forEach((level, nearness) => {
    for (const choice of level) decidedBy.set(choice.name, { written: choice, nearness });
  });
  const said = [...decidedBy].map(([name, { written: choice }]) => [name, choice.value]);
  return { choices: { ...QUEUE_DEFAULTS, ...(Object.fromEntries(said) as Partial<QueueChoices>) }, decidedBy };
}
