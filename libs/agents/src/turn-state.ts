import { describeThrown, JsonText, LanekeeperError, TerminalError } from '#contracts';

/** Gets the state that stands, and answers what it becomes; `undefined` forgets it. */
export type StateMerge = (current: unknown) => unknown;

/** What the agent keeps between turns: any JSON up to 256 KiB, committed with the turn or not at all. */
export interface TurnState {
  /** A copy of the turn's own, as it was when the turn began: a change to it counts only when it is set. */
  get(): unknown;
  /** The text of what `get` answers: digit for digit, see `TurnMessage.data`. */
  getRaw(): JsonText | undefined;
  /**
   * Replaces whatever stands when the turn is committed; `undefined` forgets it. Throws `StateReadOnlyError` in a turn that
   * others of its session run beside (strategy `concurrent`): what they keep would be lost.
   */
  set(value: unknown): void;
  /**
   * Makes the state anew from what stands when the turn is committed, so that of turns beside each other none loses what
   * another kept. `fn` is called at once, on the turn's own copy, and again at the commit, perhaps with another state: it
   * must be synchronous and do nothing else. Several of a turn are applied one after another.
   */
  merge(fn: StateMerge): void;
}

/** What a turn makes of the session's state. */
export type StateEdit = { readonly value: unknown } | { readonly merge: StateMerge };

/** The turn wanted to replace the state while others of its session run beside it. Trying again cannot help. */
export class StateReadOnlyError extends TerminalError {
  constructor(what: 'set' | 'answer') {
    const found = what === 'set' ? 'turn.state.set() was called' : 'the answer has a `state`';
    const remedy =
      what === 'set'
        ? 'call turn.state.merge(fn)'
        : 'leave `state` out of the answer (a handler in TypeScript may call turn.state.merge(fn))';
    super(
      `${found}, but other turns of the session run beside this one, and what they keep would be lost: ${remedy}, or give the messages a strategy other than concurrent`,
      { code: 'state_read_only' },
    );
  }
}

/** A function given to `turn.state.merge` threw, or what it answered cannot be kept. */
export class StateMergeError extends LanekeeperError {
  constructor(problem: string, options?: { cause: unknown }) {
    super('state_merge_failed', `turn.state.merge(): ${problem}`, options);
  }
}

/** The state as one turn sees and changes it. */
export class OwnState implements TurnState {
  private isCopied = false;
  private kept: unknown;
  private wasSet = false;
  private readonly merges: StateMerge[] = [];

  /** `check` throws when the turn is over. */
  constructor(
    private readonly raw: JsonText | undefined,
    private readonly isParallel: boolean,
    private readonly check: () => void,
  ) {}

  get(): unknown {
    this.check();
    // The lane goes on from its own: what a turn that fails did to the state must not stay.
    if (!this.isCopied) this.kept = this.raw?.value;
    this.isCopied = true;
    return this.kept;
  }

  getRaw(): JsonText | undefined {
    this.check();
    return this.isCopied ? JsonText.of(this.kept) : this.raw;
  }

  set(value: unknown): void {
    this.check();
    if (this.isParallel) throw new StateReadOnlyError('set');
    this.kept = value;
    this.isCopied = true;
    this.wasSet = true;
    this.merges.length = 0;
  }

  merge(fn: StateMerge): void {
    const merged = applyMerge(fn, this.get());
    this.kept = merged;
    // Behind a `set` nothing that others keep counts, so its result is already the one of the commit.
    if (!this.wasSet) this.merges.push(fn);
  }

  /** `undefined`: the state stays as it is. */
  change(): StateEdit | undefined {
    if (this.wasSet) return { value: this.kept };
    const merges = [...this.merges];
    return merges.length === 0 ? undefined : { merge: (current) => applyAll(merges, current) };
  }
}

/** At the commit there is no handler that could see the error: the turn's record has to tell it, whatever was thrown. */
function applyAll(merges: readonly StateMerge[], current: unknown): unknown {
  try {
    return merges.reduce((state, fn) => applyMerge(fn, state), current);
  } catch (cause) {
    if (cause instanceof StateMergeError) throw cause;
    throw new StateMergeError(`the function threw for the state at the commit (${describeThrown(cause).message})`, {
      cause,
    });
  }
}

function applyMerge(fn: StateMerge, current: unknown): unknown {
  const merged = fn(current);
  if (merged instanceof Promise) {
    // Nobody will look at it, and a rejection that nobody has heard ends the process.
    merged.catch(() => {});
    throw new StateMergeError('the function answered a promise, which would be kept as {}; wanted the state itself');
  }
  if (merged !== undefined && !isJson(merged)) {
    throw new StateMergeError(`the function answered a ${typeof merged} that JSON cannot hold; wanted any JSON`);
  }
  return merged;
}

function isJson(value: unknown): boolean {
  try {
    return JsonText.of(value) !== undefined;
  } catch {
    return false;
  }
}
