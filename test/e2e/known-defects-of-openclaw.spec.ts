import { afterAll, beforeAll, expect, it } from 'vitest';
import { expectNothingLeft, until } from '#testing';
import { ApiClient, type ApiRecord } from '../support/api-client.js';
import { startCluster, TTL_MS, type Cluster } from '../support/cluster.js';
import { expectSerial } from '../support/history-check.js';
import { startHoldingAgent, type HoldingAgent } from '../support/holding-agent.js';
import { answerJson, answerStatus, type AgentCall } from '../support/recording-agent.js';

/**
 * What goes wrong in OpenClaw's issues must be impossible here: each test is one theme of them, with an issue's number.
 * What is about subagents, locks, rate limits, priorities and approvals has to wait for these.
 */

let agent: HoldingAgent;
let cluster: Cluster;

beforeAll(async () => {
  agent = await startHoldingAgent(async ({ session, message: { id, text } }, response) => {
    if (text === 'refuse') return answerStatus(response, 404);
    if (text === 'hang') return response.flushHeaders();
    // A tool of the agent that asks the very service that runs it.
    if (text === 'ask') {
      const { state, running } = await cluster.api.session(session);
      const sent = await cluster.api.send(session, { id: `${id} to myself`, text: 'x' });
      return answerJson(response, { replies: [{ data: { state, runs: running?.seqs.length, sent: sent.status } }] });
    }
    answerJson(response, { replies: [`to ${id}`] });
  });
  const { url } = agent;
  cluster = await startCluster(['a', 'b'], {
    settings: {
      drainMs: 300,
      agents: {
        main: { url },
        fifo: { url, strategy: 'fifo', maxQueueSize: 'unlimited' },
        hasty: { url, turnTimeoutMs: 300, maxAttempts: 1 },
        dropping: { url, strategy: 'drop' },
      },
    },
  });
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await agent[Symbol.asyncDispose]();
  await expectNothingLeft();
});

const NINE = Array.from({ length: 9 }, (_, i) => `m${i}`);

/** A session of its own for each test. */
function sessionOf(session: string, name = 'main') {
  const api = new ApiClient(cluster.ingress.url ?? '', name);
  return {
    api,
    send: (id: string, text = 'x', wait?: string) =>
      api.send(session, { id, text }, wait === undefined ? {} : { wait }),
    hold: () => agent.hold(api, session),
    letGo: () => agent.letGo(session),
    cancel: (what: string) => fetch(`${api.path(session)}${what}/cancel?wait=20s`, { method: 'POST' }),
    /** What the session is doing, once `depth` messages wait in this state. */
    comesTo: (state: string, depth: number) =>
      until(`${session} is ${state}, and ${depth} messages wait`, async () => {
        const status = await api.session(session);
        return status.state === state && status.depth === depth ? status : undefined;
      }),
    decided: (count: number) => api.decided(session, count),
    calls: () => agent.calls.filter((call) => call.session === session),
  };
}

const idsOf = ({ messages }: Pick<AgentCall | ApiRecord, 'messages'>): string[] => messages.map(({ id }) => id);
const turnsIn = (records: readonly ApiRecord[]): ApiRecord[] => records.filter(({ kind }) => kind === 'turn');
const messagesIn = (records: readonly ApiRecord[]): string[] =>
  records.flatMap(({ messages }) => messages.map(({ id, decision }) => `${id} ${decision}`));

it('a run that is aborted leaves no queue undrained behind it (#54488)', async () => {
  const { send, hold, cancel, calls, comesTo } = sessionOf('aborted', 'fifo');
  await hold();
  for (const id of NINE) await send(id);
  await cancel('/messages/hold');
  expect((await send('last', 'x', '20s')).body).toMatchObject({ decision: 'handled' });
  expect(calls().flatMap(idsOf)).toEqual(['hold', ...NINE, 'last']);
  await comesTo('idle', 0);
});

it('a thread that hangs delays none of its siblings (#143569)', async () => {
  const channel = 'slack:C1';
  const { api, hold, letGo } = sessionOf(`${channel}:bad`);
  await hold();
  const answers = await Promise.all(
    Array.from({ length: 130 }, (_, i) =>
      api.sendByPlace({ channel, thread: `t${i % 13}`, id: `m${i}`, text: 'x' }, { wait: '20s' }),
    ),
  );
  expect(new Set(answers.map(({ body }) => body.decision))).toEqual(new Set(['handled']));
  expect((await api.session(`${channel}:bad`)).state).toBe('running');
  letGo();
});

it('a long row of follow-ups of one session keeps no other session waiting (#43235)', async () => {
  const long = sessionOf('follow-ups', 'fifo');
  await long.hold();
  for (const id of NINE) await long.send(id, 'hold');
  const other = await sessionOf('other', 'fifo').send('quick', 'x', '20s');
  expect(other.body).toMatchObject({ decision: 'handled' });
  await long.comesTo('running', NINE.length);
  for (let ended = 1; ended <= NINE.length + 1; ended++) {
    await until('the next one runs', () => long.calls().length === ended);
    long.letGo();
  }
  expectSerial(await long.decided(NINE.length + 1));
});

it('a turn that says nothing for long is not run a second time beside itself (#111897)', async () => {
  const { hold, letGo, decided, calls } = sessionOf('silent');
  await hold();
  const heldAt = performance.now();
  await until('two leases have passed', () => performance.now() - heldAt > 2 * TTL_MS);
  letGo();
  await decided(1);
  expect(calls()).toHaveLength(1);
});

it('one idempotency key is processed once: at once, while it runs, and when it is done (#126680, #71306)', async () => {
  const { api, letGo, decided, calls } = sessionOf('keys');
  const repeat = () =>
    Promise.all(
      Array.from({ length: 10 }, () =>
        api.send('keys', { text: 'hold' }, { headers: { 'idempotency-key': 'the key' } }),
      ),
    );
  const atOnce = await repeat();
  await agent.isHeld('keys');
  const whileItRuns = await repeat();
  letGo();
  await decided(1);
  const all = [...atOnce, ...whileItRuns, ...(await repeat())];
  expect(all.filter(({ body }) => !body.duplicate)).toHaveLength(1);
  expect(new Set(all.map(({ status, body }) => `${status} ${body.seq}`)).size).toBe(1);
  expect(calls()).toHaveLength(1);
});

it.each(['SIGTERM', 'SIGKILL'] as const)(
  'follow-ups survive %s of every worker, each handled once (#51620)',
  async (signal) => {
    const { send, letGo, hold, decided, calls } = sessionOf(`restart by ${signal}`);
    await hold();
    for (const id of NINE) await send(id);
    const workers = ['a', 'b'].map((name) => cluster.of(name));
    for (const worker of workers) worker.signal(signal);
    await Promise.all(workers.map(({ exited }) => exited));
    await Promise.all(['a', 'b'].map((name) => cluster.start(name)));
    await until('what ran runs again', () => calls().length === 2);
    letGo();
    const records = await decided(10);
    expect(messagesIn(records)).toEqual(['hold', ...NINE].map((id) => `${id} handled`));
    expect(turnsIn(records).map(({ attempt }) => attempt)).toEqual([2, 1]);
  },
);

it('a process that lives and stands still holds a session for its time to live, and no longer (#49603)', async () => {
  const session = await cluster.sessionOf('a');
  cluster.of('a').signal('SIGSTOP');
  try {
    const answer = await cluster.api.send(session, { id: 'm', text: 'x' }, { wait: '20s' });
    expect(answer.body).toMatchObject({ decision: 'handled' });
    expect((await cluster.api.turns(session))[0]?.worker).toMatch(/^b\//);
  } finally {
    cluster.of('a').signal('SIGCONT');
    await cluster.balanced('a', 'b');
  }
});

it('an agent may ask and tell its own session from within its turn (#147264)', async () => {
  const { send, decided, calls } = sessionOf('asks');
  const answer = await send('m', 'ask', '20s');
  expect(answer.body.replies).toEqual([{ data: { state: 'running', runs: 1, sent: 202 } }]);
  await decided(2);
  expect(calls().map(idsOf)).toEqual([['m'], ['m to myself']]);
});

it('a sender can tell busy from lost and from failed, and a wait that is over is none of them (#69112)', async () => {
  const queued = sessionOf('busy');
  await queued.hold();
  const waited = await queued.send('a', 'x', '1s');
  expect(waited).toMatchObject({ status: 202, body: { messageId: 'a', duplicate: false } });
  expect((await queued.api.message('busy', 'a')).body).toMatchObject({ disposition: 'queued', position: 1 });
  queued.letGo();
  await queued.decided(2);
  expect((await queued.api.message('busy', 'a')).body).toMatchObject({ disposition: 'decided', decision: 'handled' });
  expect((await queued.send('b', 'refuse', '20s')).body).toMatchObject({ decision: 'dead', status: 'failed' });

  const dropping = sessionOf('busy', 'dropping');
  await dropping.hold();
  expect((await dropping.send('a', 'x', '20s')).body).toMatchObject({ decision: 'dropped', reason: 'busy' });
  dropping.letGo();
});

it('an operator sees what runs and waits, and a dead message keeps its payload and swallows nothing (#9797, #109911)', async () => {
  const { api, send, hold, letGo, comesTo, decided } = sessionOf('seen');
  await hold();
  for (const id of ['a', 'b']) await send(id);
  expect(await comesTo('running', 2)).toMatchObject({
    oldestMs: expect.any(Number),
    running: { attempt: 1, seqs: [expect.any(Number)] },
  });
  letGo();
  await decided(3);
  await send('dead', 'refuse', '20s');
  const { dead } = (await api.get('/v1/dead?session=seen')).body;
  expect(dead).toMatchObject([{ session: 'seen', messageId: 'dead', error: { name: 'agent_refused' } }]);
  expect((await api.get(`/v1/dead/${dead[0].deadId}`)).body).toMatchObject({ message: { text: 'refuse' } });
  expect((await send('dead', 'x', '20s')).body).toMatchObject({ decision: 'handled', duplicate: false });
});

it('a queue can be cleared, and what is dropped is told to its sender (#27054, #16771)', async () => {
  const { api, send, hold, cancel, calls, comesTo } = sessionOf('cleared');
  await hold();
  // Ten wait beside a turn; the oldest of one more is told that it had to go.
  const told = api.send('cleared', { id: 'm0', text: 'x' }, { wait: '20s' });
  await until('it is stored', async () => (await api.message('cleared', 'm0')).status === 200);
  for (const id of [...NINE.slice(1), 'm9', 'm10']) await send(id);
  expect((await told).body).toMatchObject({ decision: 'dropped', reason: 'queue-full', replies: [{}] });
  expect((await cancel('')).status).toBe(200);
  await comesTo('idle', 0);
  expect(calls()).toHaveLength(1);
});

it('nothing stays `running` that does not run (#142638)', async () => {
  const { api, send, comesTo } = sessionOf('stale', 'hasty');
  expect((await send('m', 'hang', '20s')).body).toMatchObject({ status: 'timed_out', decision: 'dead' });
  await comesTo('idle', 0);
  expect((await api.message('stale', 'm')).body).toMatchObject({ disposition: 'decided', decision: 'dead' });
});

it('a message that comes later takes nothing away from the reply of the turn before it (#124618)', async () => {
  const { api, send, letGo, decided } = sessionOf('replies');
  const first = api.send('replies', { id: 'hold', text: 'hold' }, { wait: '20s' });
  await agent.isHeld('replies');
  await send('newer');
  letGo();
  expect((await first).body).toMatchObject({ status: 'succeeded', replies: [{ text: 'held' }] });
  expect((await decided(2)).flatMap(({ sends = [] }) => sends.map(({ text }) => text))).toEqual(['held', 'to newer']);
});

it('several workers serve one queue of sessions, each a share of them (#25883)', async () => {
  await cluster.balanced('a', 'b');
  for (const worker of ['a', 'b']) {
    const session = await cluster.sessionOf(worker, 3);
    await cluster.api.send(session, { id: 'm', text: 'x' }, { wait: '20s' });
    expect((await cluster.api.turns(session))[0]?.worker).toMatch(new RegExp(`^${worker}/`));
  }
});
