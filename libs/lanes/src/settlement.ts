import type { Decision, Outcome, Reply } from '#contracts';

/** How the handler of a turn came back. */
export type TurnOutcome =
  | {
      readonly kind: 'succeeded';
      readonly replies: readonly Reply[];
      /** Present when the turn set the state; `value` undefined clears it. */
      readonly state?: { readonly value: unknown };
    }
  | { readonly kind: 'failed'; readonly error: { readonly name: string; readonly message: string } };

/** What a turn's record says, as far as the outcome decides it. */
export interface Settlement {
  readonly status: Outcome;
  readonly decision: Decision;
  readonly reason?: string;
  readonly sends: readonly Reply[];
  readonly state?: { readonly value: unknown };
  readonly error?: { readonly name: string; readonly message: string };
}

/** The only place that turns an outcome into decisions. */
export function settle(outcome: TurnOutcome): Settlement {
  if (outcome.kind === 'failed') return failed(outcome.error);
  return {
    status: 'succeeded',
    decision: 'handled',
    sends: outcome.replies,
    ...(outcome.state === undefined ? {} : { state: outcome.state }),
  };
}

/** A turn that did not come to an end: nothing that it wanted to send or keep counts. */
export function failed(error: { readonly name: string; readonly message: string }): Settlement {
  return { status: 'failed', decision: 'dead', reason: error.name, sends: [], error };
}
