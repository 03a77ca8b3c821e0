import { hash } from 'node:crypto';

/** So many places are searched for one name. */
const WAYS = 16;
/** 8 bytes of the name's hash, 8 for the sequence. */
const PLACE_BYTES = 16;
const BUCKET_BYTES = WAYS * PLACE_BYTES;

/**
 * Sequences by name, in one piece of memory of a fixed size and with no object for each: 16 MiB hold a million. It may forget,
 * and it answers with the sequence that was put last under a name, or with none.
 *
 * A name is known by its SHA-256: some bits of it choose the bucket, 64 others stand in the place. A name that is not here is
 * taken for one of the 16 in its bucket once in 10^18 times. Then the answer is the sequence of another name: who asks must be
 * able to bear that.
 *
 * A full bucket forgets its lowest sequence. They are those of one stream, so that is the session that has rested longest. A
 * free place has the sequence 0, and so goes first.
 */
export class HeadTable {
  private readonly buckets: number;
  /** Two words of hash, then two that are the sequence: the views share their memory. */
  private words: Uint32Array | undefined;
  private seqs = new Float64Array();

  /** Less than a bucket = it keeps nothing. */
  constructor(bytes: number) {
    this.buckets = Math.floor(bytes / BUCKET_BYTES);
  }

  /** `seq`: at least 1. */
  put(name: string, seq: number): void {
    if (this.buckets === 0) return;
    this.words ??= this.allocate();
    const digest = hash('sha256', name, 'binary');
    const high = wordOf(digest, 1);
    const low = wordOf(digest, 2);
    const first = this.firstPlace(digest);
    let place = first;
    for (let at = first; at < first + WAYS; at++) {
      if (this.words[4 * at] === high && this.words[4 * at + 1] === low) {
        place = at;
        break;
      }
      if (this.seqAt(at) < this.seqAt(place)) place = at;
    }
    this.words[4 * place] = high;
    this.words[4 * place + 1] = low;
    this.seqs[2 * place + 1] = seq;
  }

  /** Answers, and forgets. */
  take(name: string): number | undefined {
    if (this.words === undefined) return undefined;
    const digest = hash('sha256', name, 'binary');
    const high = wordOf(digest, 1);
    const low = wordOf(digest, 2);
    const first = this.firstPlace(digest);
    for (let at = first; at < first + WAYS; at++) {
      if (this.words[4 * at] !== high || this.words[4 * at + 1] !== low) continue;
      const seq = this.seqAt(at);
      this.seqs[2 * at + 1] = 0;
      return seq === 0 ? undefined : seq;
    }
    return undefined;
  }

  /** Not before it is needed. The system gives zeroed pages for it, each only when it is written to. */
  private allocate(): Uint32Array {
    const memory = new ArrayBuffer(this.buckets * BUCKET_BYTES);
    this.seqs = new Float64Array(memory);
    return new Uint32Array(memory);
  }

  private firstPlace(digest: string): number {
    return (wordOf(digest, 0) % this.buckets) * WAYS;
  }

  private seqAt(place: number): number {
    return this.seqs[2 * place + 1] as number;
  }
}

/** 32 bits of a digest whose characters are its bytes. */
function wordOf(digest: string, index: number): number {
  const at = 4 * index;
  const upper = (digest.charCodeAt(at) << 24) | (digest.charCodeAt(at + 1) << 16);
  return (upper | (digest.charCodeAt(at + 2) << 8) | digest.charCodeAt(at + 3)) >>> 0;
}
