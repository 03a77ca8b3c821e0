import { describeThrown, JsonText, LanekeeperError, TerminalError } from '#contracts';

/** Gets the current state and returns the next one. `undefined` deletes it. */
export type StateMerge = (current: unknown) => unknown;

/** State that the agent keeps between turns: any JSON up to 256 KiB. It is committed with the turn or not at all. */
export interface TurnState {
  /** A copy of the state from the start of the turn. Changes to it count only after `set`. */
  get(): unknown;
  /** The JSON text of the state, digit for digit; see `TurnMessage.data`. */
  getRaw(): JsonText | undefined;
  /**
   * Replaces the state when the turn is committed. `undefined` deletes it. Throws `StateReadOnlyError` when other turns
   * of the session may run at the same time (strategy `concurrent`), because it would overwrite their state.
   */
  set(value: unknown): void;
  /**
   * Computes the state from the state at the commit, so that parallel turns do not overwrite each other. `fn` is called
   * at once with the turn's own copy, and again at the commit, perhaps with another state. It must be synchronous and
   * have no side effects. Several merges of a turn are applied in order.
   */
  merge(fn: StateMerge): void;
}

/** Change that a turn makes to the session's state. */
export type StateEdit = { readonly value: unknown } | { readonly merge: StateMerge };

/** The turn tried to replace the state while other turns of its session run. A retry cannot help. */
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

/** The function given to `turn.state.merge` threw, or its result cannot be stored. */
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
    // Parse a copy: changes of a turn that fails must not reach the lane's state.
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
    // After `set`, the state of other turns does not matter, so the result is already final.
    if (!this.wasSet) this.merges.push(fn);
  }

  /** `undefined`: no change. */
  change(): StateEdit | undefined {
    if (this.wasSet) return { value: this.kept };
    const merges = [...this.merges];
    return merges.length === 0 ? undefined : { merge: (current) => applyAll(merges, current) };
  }
}

/** At the commit no handler runs that could catch the error, so the turn's record gets it, whatever was thrown. */
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
    // No code awaits this promise. An unhandled rejection would end the process.
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
