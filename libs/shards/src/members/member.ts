import { z } from 'zod';
import type { Taker } from './offers.js';

/** What a live process says of itself under its id. Fields that the library does not know are kept for readers. */
const member = z.looseObject({
  v: z.literal(1),
  /** One life of a process: `<id>/<startId>`. */
  incarnation: z.string(),
  /** The process stops: it gives its shards away and takes none. */
  draining: z.boolean(),
  /** The agents that it has. */
  agents: z.array(z.string()).optional().catch(undefined),
  /** It takes shards by the needs in the leases; absent = its version does not. */
  takesOffers: z.literal(true).optional().catch(undefined),
});
export type MemberValue = z.infer<typeof member>;

export interface Member {
  readonly id: string;
  readonly value: MemberValue;
  /** Of the write that said so; absent = unknown. */
  readonly revision?: number;
}

export function parseMember(text: string): MemberValue | undefined {
  try {
    return member.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** The id of the process that an incarnation belongs to. */
export function memberIdOf(incarnation: string): string {
  return incarnation.slice(0, incarnation.lastIndexOf('/'));
}

/** The members that take shards. */
export function assignable(members: readonly Pick<Member, 'id' | 'value'>[]): Taker[] {
  return members
    .filter(({ value }) => !value.draining)
    .map(({ id, value }) => ({ id, has: value.takesOffers === true ? value.agents : undefined }));
}
