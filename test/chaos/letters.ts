import type { Dice } from './dice.js';
import { sessionOf } from './sessions.js';
import { drawTask, drawTtlMs, handlerTask, type HandlerTask, type LetterTask } from './tasks.js';

/** One message that a sender wants to send, and what goes wrong with its sending. */
export interface Letter {
  readonly session: string;
  readonly id: string;
  /** How the agent behaves when it gets it: see agent.ts. */
  readonly text: string;
  readonly thread?: string;
  readonly strategy?: 'concurrent';
  readonly task?: LetterTask;
  /** It is for the agent whose handler runs this task. */
  readonly runs?: HandlerTask;
  /** The same again: at once to another ingress too, or a while after it was accepted. */
  readonly again?: 'at once' | 'later';
  /** It, or everything of its session, is cancelled a moment after it was accepted. */
  readonly cancel?: 'message' | 'session';
}

const QUICK_SESSIONS = 120;
/** Of these everybody writes at once. */
const HOT_SESSIONS = 5;
const SLOW_SESSIONS = 16;
const FAILING_SESSIONS = 16;
const CONCURRENT_SESSIONS = 8;
const TASK_SESSIONS = 10;
const HANDS_SESSIONS = 9;
const THREADS = ['a', 'b', 'c'];

/** All letters of a run, as long as a sender asks for the next one. Probes are numbered, so that each has its own session. */
export function* letters(dice: Dice): Generator<Letter, never> {
  for (let n = 1; ; n++) {
    const id = `m${n}`;
    const lot = dice.next();
    if (lot < 0.03) yield { ...slow(dice), id };
    else if (lot < 0.05) yield { ...failing(dice), id };
    else if (lot < 0.06) yield { session: sessionOf('probe', n), id, text: 'quick' };
    else if (lot < 0.1) yield { ...beside(dice), id };
    else if (lot < 0.14) yield { ...task(dice), id };
    else if (lot < 0.16) yield { ...hands(dice), id };
    else yield { ...quick(dice), id };
  }
}

type Content = Omit<Letter, 'id'>;

function quick(dice: Dice): Content {
  const n = dice.chance(0.3) ? dice.between(0, HOT_SESSIONS - 1) : dice.between(0, QUICK_SESSIONS - 1);
  return { session: sessionOf('quick', n), text: 'quick', ...route(dice, n), ...again(dice) };
}

/** From shorter than the time to live of a worker to three times as long. */
function slow(dice: Dice): Content {
  const n = dice.between(0, SLOW_SESSIONS - 1);
  const text = `slow ${dice.chance(0.7) ? dice.between(50, 1_500) : dice.between(1_500, 6_000)}`;
  const lot = dice.next();
  const cancel = lot < 0.1 ? ({ cancel: 'message' } as const) : lot < 0.13 ? ({ cancel: 'session' } as const) : {};
  return { session: sessionOf('slow', n), text, ...route(dice, n), ...again(dice), ...cancel };
}

function failing(dice: Dice): Content {
  const n = dice.between(0, FAILING_SESSIONS - 1);
  const tries = dice.between(1, 2);
  const text = dice.pick([`fail ${tries}`, 'fail 9', `later ${tries}`, 'refuse', `reset ${tries}`, 'silent 1']);
  return { session: sessionOf('failing', n), text, ...route(dice, n), ...again(dice) };
}

/** Several of one session at once, each as quick, slow or failing as any other. */
function beside(dice: Dice): Content {
  const n = dice.between(0, CONCURRENT_SESSIONS - 1);
  const lot = dice.next();
  const { text, cancel } = lot < 0.5 ? quick(dice) : lot < 0.85 ? slow(dice) : failing(dice);
  const order = cancel === undefined ? {} : { cancel };
  return { session: sessionOf('beside', n), text, strategy: 'concurrent', ...again(dice), ...order };
}

/** Mostly of messages that start one, beside others of the same session. Those that fail for good wait for the operator. */
function task(dice: Dice): Content {
  const n = dice.between(0, TASK_SESSIONS - 1);
  const lot = dice.next();
  const { text } = lot < 0.35 ? quick(dice) : slow(dice);
  const failure = dice.pick(['fail 1', 'fail 1', 'fail 9', 'refuse', 'reset 1', 'later 1']);
  const cancel = dice.chance(0.04) ? ({ cancel: 'message' } as const) : {};
  const what = { session: sessionOf('task', n), text: lot < 0.75 ? text : failure, ...route(dice, n), ...again(dice) };
  return { ...what, ...cancel, ...(dice.chance(0.85) ? { task: drawTask(dice) } : {}) };
}

/** For the agent that is a handler in the worker. */
function hands(dice: Dice): Content {
  const n = dice.between(0, HANDS_SESSIONS - 1);
  const text = dice.chance(0.6) ? quick(dice).text : dice.chance(0.7) ? slow(dice).text : failing(dice).text;
  return { session: sessionOf('hands', n), text, runs: handlerTask(n, drawTtlMs(dice)), ...again(dice) };
}

/** Half of the sessions have several routes. */
function route(dice: Dice, n: number): { thread?: string } {
  return n % 2 === 0 ? {} : { thread: dice.pick(THREADS) };
}

function again(dice: Dice): Pick<Letter, 'again'> {
  const lot = dice.next();
  return lot < 0.03 ? { again: 'at once' } : lot < 0.06 ? { again: 'later' } : {};
}
