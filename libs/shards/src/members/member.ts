import { z } from 'zod';
import type { Taker } from './offers.js';

/** What a live process says of itself under its id. Fields that the library does not know are kept for readers. */
const member = z.looseObject({
  v: z.literal(1),
  /** One life of a process: `<id>/<startId>`. */
  incarnation: z.string(),
  /** It stops: it gives its shards away and takes none. */
  draining: z.boolean(),
  /** The agents that it has. */
  agents: z.array(z.string()).optional().catch(undefined),
  /** It goes by what the leases say that shards need; absent = a version that does not. */
  takesOffers: z.literal(true).optional().catch(undefined),
});
export type MemberValue = z.infer<typeof member>;

export interface Member {
  readonly id: string;
  readonly value: MemberValue;
  /** Of the write that said so; absent = it is not told. */
  readonly revision?: number;
}

export function parseMember(text: string): MemberValue | undefined {
  try {
    return member.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** The id of the process of which an incarnation is one life. */
export function memberIdOf(incarnation: string): string {
  return incarnation.slice(0, incarnation.lastIndexOf('/'));
}

/** Those that take shards. */
export function assignable(members: readonly Pick<Member, 'id' | 'value'>[]): Taker[] {
  return members
    .filter(({ value }) => !value.draining)
    .map(({ id, value }) => ({ id, has: value.takesOffers === true ? value.agents : undefined }));
}
