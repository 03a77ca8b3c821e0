import type { Violation } from '../history.js';
import { at, type SessionHistory } from '../session-history.js';

/** L7: the same run has the same messages, in every call and in every record. */
export function checkBatches({ session, records, calls }: SessionHistory): Violation[] {
  const found: Violation[] = [];
  const says = (text: string, time: number): void =>
    void found.push({ invariant: 'L7', says: text, session, at: time });
  const batches = new Map<string, { readonly seqs: string; readonly from: string }>();
  const compare = (runId: string, list: readonly number[], from: string, time: number): void => {
    const seqs = list.join(', ');
    const known = batches.get(runId);
    if (known === undefined) batches.set(runId, { seqs, from });
    else if (known.seqs !== seqs) says(`run ${runId} has ${seqs} in ${from}, and ${known.seqs} in ${known.from}`, time);
  };
  const digests = new Map<string, { readonly digest: string; readonly n: number }>();
  for (const { n, runId, messages, digest, startedAt } of calls) {
    compare(
      runId,
      messages.map(({ seq }) => seq),
      `call ${n}`,
      startedAt,
    );
    const known = digests.get(runId);
    if (known === undefined) digests.set(runId, { digest, n });
    else if (known.digest !== digest)
      says(`run ${runId} had another content in call ${n} than in call ${known.n}`, startedAt);
  }
  for (const line of records) {
    const { record } = line;
    for (const run of [record.run, ...(record.runs ?? [])]) {
      if (run !== null) compare(run.runId, run.seqs, at(line), line.at);
    }
    if (record.kind !== 'turn') continue;
    const seqs = record.messages.map(({ seq }) => seq);
    // A cancel may end a part of a batch; the rest of it runs as another run.
    if (record.status !== 'cancelled') compare(record.runId, seqs, at(line), line.at);
    // Cancelled before its call was made, only its record knows it.
    const batch = new Set((batches.get(record.runId)?.seqs ?? seqs.join(', ')).split(', ').map(Number));
    if (seqs.some((seq) => !batch.has(seq))) says(`${at(line)} decides more than the run ${record.runId} had`, line.at);
  }
  return found;
}
