// The Chat SDK's queue on Redis, on the bench's work: messages come in as a webhook hands them over, a handler that does
// nothing takes them. One process, for the one that takes the webhook runs the handler.
import { createRedisState } from '@chat-adapter/state-redis';
import { Chat, Message } from 'chat';
import { feed, nowMs, sessionsInTurn, warmupSessionOf } from './bench-work.mjs';

const { redisUrl, messages, sessions, warmup, inFlight } = JSON.parse(process.argv[2]);
const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };
const unused = async () => {
  throw new Error('the bench has no platform');
};
const adapter = {
  name: 'bench',
  userName: 'bench',
  initialize: async () => {},
  channelIdFromThreadId: (threadId) => threadId,
  decodeThreadId: (threadId) => threadId,
  encodeThreadId: (threadId) => threadId,
  isDM: () => false,
  handleWebhook: unused,
  postMessage: unused,
};
const chat = new Chat({
  userName: 'bench',
  adapters: { bench: adapter },
  state: createRedisState({ url: redisUrl, logger: silent }),
  concurrency: 'queue',
  logger: silent,
});
let handled = 0;
chat.onNewMessage(/./, async () => {
  handled++;
});
await chat.initialize();

await feed(warmup, warmupSessionOf, take, inFlight);
if (handled !== warmup) throw new Error(`the handler ran ${handled} times for ${warmup} messages`);
console.log(`warm ${nowMs()}`);
await feed(messages, sessionsInTurn(sessions), take, inFlight);
if (handled !== warmup + messages)
  throw new Error(`the handler ran ${handled - warmup} times for ${messages} messages`);
console.log(`done ${nowMs()}`);

async function take(session, { text }, i) {
  const threadId = `bench:${session}`;
  await chat.processMessage(adapter, threadId, message(`${threadId}-${i}`, threadId, text));
}

function message(id, threadId, text) {
  return new Message({
    id,
    threadId,
    text,
    formatted: { type: 'root', children: [{ type: 'paragraph', children: [{ type: 'text', value: text }] }] },
    raw: {},
    author: { userId: 'u', userName: 'u', fullName: 'u', isBot: false, isMe: false },
    metadata: { dateSent: new Date(), edited: false },
    attachments: [],
    links: [],
  });
}
