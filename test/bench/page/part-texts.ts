/** What each part measures, in the order of the page. */
export const PART_TEXTS: Readonly<Record<string, string>> = {
  turns: `Messages of many sessions, six each, through publish, lanes and commit, with an agent in the worker that does
nothing and 64 turns at once. Each message has a thread of its own, so that no two share a turn. 60,000 count, after a warm-up
of 40,000 (a quarter of both where each write is synced, and of Restate). Broker (one replica, file storage), worker and
publisher are a process each. Times are the broker's own stamps, from the first message stored to the last record stored.
"Full inbox": all messages are stored before the worker starts. **Bare loop**: the same broker, publisher and counting; 64
ordered consumers and one compare-and-set publish of a record of the same size per message, 64 at once, by the public interface
of nats.js with one reply subscription; it looks into no message. "On our publish channel": the same loop with the channel that
our workers publish by. **Stores**: JetStream as it is by default gives a write to the system at once and syncs it later: a
kill -9 loses nothing, a power cut may. Redis with \`appendfsync everysec\` keeps as much, so these rows have the targets.
"Each write synced" is \`sync_interval: always\` beside \`appendfsync always\`. **GroupMQ** has a process that adds jobs and one
that runs them, a group for each session. **BullMQ** in its open-source version knows no order within a session: it is one
queue with 64 jobs at once, which is less than the others do. The **Chat SDK** handles a message in the process that takes it:
it hands nothing over, a crash loses the turn that runs, and there is no full inbox. **Restate** is one node as it is by default,
which syncs its log, a virtual object for each session and 256 calls at once, each from its call to its stored end.`,
  ingress: `\`POST …/messages\`, answered when the broker has stored it, beside a Fastify route that checks the same body with the
same schema and stores nothing; the load comes from the same 64 connections.`,
  idle: `One message at a time, publish to the first line of the handler, beside publish to the callback of an ordered consumer,
in turn and in one process with one clock, 3,000 of each in a run. "Idle session": it had turns before. "Unread head": the worker
meets it for the first time and has to read its last record.`,
  growth: `A fresh broker and worker; each session gets a message and its turn. Then 60,000 more turns of these sessions ("known"),
in an order that jumps through the store, after half as many as warm-up. Then memory: when the worker has forgotten what is idle,
within a minute and without a collection that the bench asks for, beside a worker that owns all shards and never had a session;
its objects after a full collection. Then the worker is killed and started again under its id, and a session of each shard gets
a message: from the start to the last of the 64 records. Last, 60,000 new sessions get their first turn. The broker remembers
the id of every message for 15 minutes.`,
  flood: `A message each of a million new sessions, published as fast as the broker takes them while a worker with its default
capacity runs: the most memory that the system ever gave it (VmHWM).`,
  ownership: `Takeover: two workers with the times that they have by default, 200 sessions, a message of each every fifth of the
time to live; one worker is killed right after it has renewed its membership, the worst moment for it. From the kill to the
first record of the other one that decides something, in each session of the one that is gone. A worker joins, a worker stops:
200 sessions, four messages a second of each; the longest time from a message's stamp to its record's, from half a second
before a move to three seconds after it had begun; "no move" is as long a time just before. No message is lost, decided twice or
out of order, and no turn runs twice or beside another one of its session: the bench ends with an error otherwise.`,
  failover: `Three nodes and three workers, one at each. A worker and its node are killed in the same moment, and that node led
the members, the shards and both streams; ten times, each time another one. From the kill to the record of the last of the
sessions, one in each shard of the dead worker, that got a message then. The elections of the broker (four to nine seconds) lie
in that time.`,
  workers: `One, two and four workers on one broker. Turns of 50 ms, of which each worker runs 50 at once, need no processor: what
more workers gain is their number. Turns that do nothing share the processors with the broker and the publisher.`,
  replicas: `A quarter of the work of the part turns, fed live, then 200 messages a second for five seconds, each timed from its
publish to its record in the hands of a reader. "One server": a write is acknowledged when it is stored, and synced later. "Each
write synced": \`sync_interval: always\`. Three servers of a cluster, all streams with three replicas, share this machine and its
disk.`,
  'hot-session': `100 other sessions of its shard get a message every 4 ms in all, each timed from its publish to its record, for
20 s. Then the hot session gets its messages, of 4 KiB each and each a turn of its own. "While its messages come": sent
meanwhile. Else: sent in another 20 s, begun when all of them were read, while its turns take 20 ms each. "Objects of the worker":
what is left of its heap and buffers after a full collection.`,
  guard: `One guard process and 500 requests a second, whatever became of the former ones; each asks for a task of its own, and one
in ten for one that is taken. Timed from the request to its answer, in the process of the callers. "Bare compare-and-set": a
program that answers each request after one write of a key that must not be there yet, to the same stream and of the same size.
The three take turns of a second. "Bound": 50 ms.`,
};
