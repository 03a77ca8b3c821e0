import type { KeyBucket, KeyEntry } from '#jetstream';
import { parseMember, type Member, type MemberValue } from './member.js';
import type { MemberStore, MemberWrite } from '../shard-ports.js';

/** Live processes of a role, one key each, on a key-value bucket. */
export class KeyMemberStore implements MemberStore {
  private revision = 0;

  constructor(
    private readonly bucket: KeyBucket,
    /** In front of every key, so that two roles share a bucket. */
    private readonly prefix = '',
  ) {}

  async readAll(): Promise<readonly Member[]> {
    const entries = await this.bucket.readMany([`${this.prefix}*`]);
    return entries.flatMap(({ key, value, revision }) => {
      const member = parseMember(value ?? '');
      return member === undefined ? [] : [{ id: key.slice(this.prefix.length), value: member, revision }];
    });
  }

  async standing(id: string): Promise<string | undefined> {
    return incarnationOf(await this.bucket.read(this.prefix + id));
  }

  async put(id: string, value: MemberValue, ttlMs: number, takesOver: boolean): Promise<MemberWrite> {
    const write = (): ReturnType<KeyBucket['write']> =>
      this.bucket.write(this.prefix + id, JSON.stringify(value), { expected: this.revision, ttlMs });
    try {
      const first = await write();
      if (first.kind === 'written') return this.wrote(first.revision);
      // Our own write whose answer was lost, a key that has expired, or another process' key.
      const found = await this.bucket.read(this.prefix + id);
      const by = incarnationOf(found);
      if (by !== undefined && by !== value.incarnation && !takesOver) return { kind: 'replaced', by };
      this.revision = found?.revision ?? 0;
      const second = await write();
      return second.kind === 'written' ? this.wrote(second.revision) : { kind: 'unclear' };
    } catch {
      return { kind: 'unclear' };
    }
  }

  async remove(id: string): Promise<void> {
    await this.bucket.remove(this.prefix + id, this.revision);
  }

  async removeStale(id: string, revision: number): Promise<void> {
    // Refused when its process has renewed the key: then the revision is another one.
    await this.bucket.remove(this.prefix + id, revision).catch(() => {});
  }

  onWrite(listener: (id: string, value: MemberValue | undefined) => void): () => void {
    return this.bucket.onWrite(`${this.prefix}*`, (key, text) =>
      listener(key.slice(this.prefix.length), text === '' ? undefined : parseMember(text)),
    );
  }

  private wrote(revision: number): MemberWrite {
    this.revision = revision;
    return { kind: 'written', revision };
  }
}

function incarnationOf(entry: KeyEntry | undefined): string | undefined {
  return parseMember(entry?.value ?? '')?.incarnation;
}
