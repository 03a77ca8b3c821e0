// The Chat SDK's queue on Redis, on the bench's work: messages come in as a webhook hands them over, a handler that does
// nothing takes them. One process, for the one that takes the webhook runs the handler.
import { createRedisState } from '@chat-adapter/state-redis';
import { Chat, Message } from 'chat';

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

await takeAll(warmup, (i) => `bench:warm-${i}`);
if (handled !== warmup) throw new Error(`the handler ran ${handled} times for ${warmup} messages`);
const began = performance.now();
await takeAll(messages, (i) => `bench:session-${i % sessions}`);
const elapsedMs = performance.now() - began;
if (handled !== warmup + messages)
  throw new Error(`the handler ran ${handled - warmup} times for ${messages} messages`);
console.log(`done ${elapsedMs}`);
process.exit();

async function takeAll(count, threadOf) {
  let next = 0;
  const taker = async () => {
    while (next < count) {
      const i = next++;
      await chat.processMessage(adapter, threadOf(i), message(`${threadOf(i)}-${i}`, threadOf(i), i));
    }
  };
  await Promise.all(Array.from({ length: inFlight }, taker));
}

function message(id, threadId, i) {
  const text = `message number ${i} of the bench, of a usual length`;
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
