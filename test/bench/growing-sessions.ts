import { names } from './bench-broker.js';
import { makeMessage, type Message } from './work.js';

/** The golden section: sessions so far apart that no two messages in a row are neighbours in the store. */
const STRIDE_SHARE = 0.618;

/** Sessions that become more and more, and messages for them. Each is a turn of its own. */
export class GrowingSessions {
  private sessions = 0;
  private sent = 0;

  /** A message each of sessions that there were not before. */
  *more(count: number): Generator<Message> {
    for (let i = 0; i < count; i++) yield this.next(nameOf(this.sessions++));
  }

  /** Messages of the sessions that there are, in turn, but not in the order in which they came to be. */
  *again(count: number): Generator<Message> {
    const { sessions } = this;
    const stride = strideOver(sessions);
    for (let i = 0, at = 0; i < count; i++, at = (at + stride) % sessions) yield this.next(nameOf(at));
  }

  next(session: string): Message {
    const i = this.sent++;
    return makeMessage(names, session, i, { thread: `t${i}` });
  }
}

/** Of the first sessions one of each shard. */
export function sessionsOfAllShards(): string[] {
  const found = new Map<number, string>();
  for (let i = 0; found.size < names.shards; i++) {
    const session = nameOf(i);
    const { shard } = names.sessionTokens('main', session);
    if (!found.has(shard)) found.set(shard, session);
  }
  return [...found.values()];
}

function nameOf(i: number): string {
  return `session-${i}`;
}

/** Without a common factor, so that every session has its turn before any has the second. */
function strideOver(sessions: number): number {
  let stride = Math.max(1, Math.floor(sessions * STRIDE_SHARE));
  while (commonFactor(stride, sessions) > 1) stride++;
  return stride;
}

function commonFactor(a: number, b: number): number {
  return b === 0 ? a : commonFactor(b, a % b);
}
