import { makeRunId, type Head, type RunInWork, type SessionTokens, isDecided } from '#contracts';
import type { Batch } from './batch.js';

/**
 * A batch that its agent refuses for one of its messages, or for their number, runs again in parts, each a run of its own (L7):
 *
 *   [1 2 3 4] --refused--> [1 2], [3 4]     [1 2] handled, [3 4] --refused--> [3], [4]     [3] dead, [4] handled
 *
 * So one message that is refused is found in about `2 log2 n` calls, and ends dead alone. The part that is next stands in the
 * head as the run that comes (`run`, `runs`), and the parts behind it stand in that (`rest`). The note of the split, and the
 * record that ends each part, say what comes next: an owner that comes after a crash or a handover sees the parts, and
 * never the whole again. All parts together name no message more than the batch did, so a record has room for them.
 *
 * L2  The parts run one after another, in the order of the batch, and before anything that came later.
 */

/** The first half of a refused batch, which is next, with all that comes behind it. */
export function splitInHalf(key: SessionTokens, { items, rest = [] }: Pick<Batch, 'items' | 'rest'>): RunInWork {
  const seqs = items.map(({ seq }) => seq);
  const half = Math.floor(seqs.length / 2);
  return partOf(key, seqs.slice(0, half), [seqs.slice(half), ...rest]);
}

/** What comes of a run when these are decided: itself, what is left of its parts, or nothing. */
export function leftOf(key: SessionTokens, run: RunInWork, cursor: Pick<Head, 'upto' | 'done'>): RunInWork | undefined {
  if (run.seqs.every((seq) => !isDecided(cursor, seq))) return run;
  return run.rest === undefined ? undefined : nextPart(key, [run.seqs, ...run.rest], cursor);
}

/** The first of these parts that is not wholly decided; what is left of it is a run of its own. */
export function nextPart(
  key: SessionTokens,
  parts: readonly (readonly number[])[],
  cursor: Pick<Head, 'upto' | 'done'>,
): RunInWork | undefined {
  const open = parts.map((seqs) => seqs.filter((seq) => !isDecided(cursor, seq))).filter((seqs) => seqs.length > 0);
  const [first, ...rest] = open;
  return first === undefined ? undefined : partOf(key, first, rest);
}

function partOf(key: SessionTokens, seqs: number[], rest: readonly number[][]): RunInWork {
  return { runId: makeRunId(key, seqs), seqs, attempt: 1, crashes: 0, rest: [...rest] };
}
