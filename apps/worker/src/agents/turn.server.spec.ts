import { describe, expect, it } from 'vitest';
import type { AgentSettings } from '#config';
import { QUEUE_DEFAULTS } from '#contracts';
import type { BoundAgent } from './agent-runner.js';
import { TurnServer, type ConfiguredAgents, type TurnLifecycle } from './turn.server.js';

const LIMITS = {
  turnTimeoutMs: 1_000,
  abortGraceMs: 10,
  maxAttempts: 3,
  backoffInitialMs: 1,
  backoffMaxMs: 2,
  retryLaterMaxMs: 3,
  streamIdleMs: 4,
  laneBuffer: 512,
};
const QUEUEING = { queueing: QUEUE_DEFAULTS, channels: {} };

type Agents = Readonly<Record<string, Partial<AgentSettings>>>;

class FakeLifecycle implements TurnLifecycle {
  agents: ReadonlyMap<string, BoundAgent> | undefined;
  stops = 0;
  problem: Error | undefined;

  async start(agents: ReadonlyMap<string, BoundAgent>): Promise<void> {
    if (this.problem !== undefined) throw this.problem;
    this.agents = agents;
  }

  async stop(): Promise<void> {
    this.stops++;
  }
}

/** A server with these handlers; each answers with its own name, and an outside agent with its url. */
function setUp(
  agents: Agents,
  names: string[],
  lifecycle = new FakeLifecycle(),
  more: Pick<ConfiguredAgents, 'mayLack' | 'onLeftOut'> = {},
) {
  const server = new TurnServer(lifecycle, {
    ...more,
    agents: Object.fromEntries(Object.entries(agents).map(([name, own]) => [name, { ...LIMITS, ...QUEUEING, ...own }])),
    callOutside: async (turn, { url, secret }) => [turn, url, secret],
  });
  for (const name of names) server.addHandler(name, async () => name);
  const listen = () => new Promise<unknown>((resolve) => server.listen(resolve));
  return { server, lifecycle, listen };
}

async function bound(agents: Agents, names: string[]): Promise<Record<string, unknown>> {
  const { lifecycle, listen } = setUp(agents, names);
  expect(await listen()).toBeUndefined();
  const entries = [...(lifecycle.agents ?? [])].map(async ([agent, { handler }]) => [
    agent,
    await handler(undefined as never),
  ]);
  return Object.fromEntries(await Promise.all(entries)) as Record<string, unknown>;
}

describe('TurnServer', () => {
  it.each<[string, Agents, string[], Record<string, string>]>([
    ['the handler of its name', { research: {} }, ['echo', 'research'], { research: 'research' }],
    ['the handler that it names', { research: { handler: 'echo' } }, ['echo', 'research'], { research: 'echo' }],
    ['main: the echo, when there is no handler of that name', { main: {} }, ['echo'], { main: 'echo' }],
    ['main: its own handler, when there is one', { main: {} }, ['echo', 'main'], { main: 'main' }],
    ['main: the one that it names', { main: { handler: 'x' } }, ['echo', 'main', 'x'], { main: 'x' }],
    ['each its own', { a: {}, b: { handler: 'a' } }, ['a', 'b'], { a: 'a', b: 'a' }],
  ])('an agent gets %s', async (_title, agents, names, expected) => {
    expect(await bound(agents, names)).toEqual(expected);
  });

  it('an agent with a url is called there even if a handler has its name, and each agent has its own limits', async () => {
    const secret = 's'.repeat(16);
    const agents = { main: { url: 'http://a/', secret, maxAttempts: 9 }, research: {}, far: { url: 'http://b/' } };
    const { lifecycle, listen } = setUp(agents, ['main', 'research']);
    expect(await listen()).toBeUndefined();
    const main = lifecycle.agents?.get('main');
    expect(await main?.handler('turn' as never)).toEqual(['turn', 'http://a/', secret]);
    expect(await lifecycle.agents?.get('far')?.handler('turn' as never)).toEqual(['turn', 'http://b/', undefined]);
    expect(main).toMatchObject({ isOutside: true, policy: { ...LIMITS, maxAttempts: 9 } });
    expect(lifecycle.agents?.get('research')).toMatchObject({ isOutside: false, policy: LIMITS });
  });

  it('messages of an agent use the queueing settings of that agent', async () => {
    const queueing = { ...QUEUE_DEFAULTS, strategy: 'fifo' } as const;
    const ofSlack = { ...QUEUE_DEFAULTS, strategy: 'drop' } as const;
    const agents = { main: {}, research: { queueing, channels: { slack: { queueing: ofSlack } } } };
    const { lifecycle, listen } = setUp(agents, ['main', 'research']);
    expect(await listen()).toBeUndefined();
    expect(lifecycle.agents?.get('main')?.queueing()).toEqual(QUEUE_DEFAULTS);
    expect(lifecycle.agents?.get('research')?.queueing()).toEqual(queueing);
    expect(lifecycle.agents?.get('research')?.queueing({ channel: 'slack:C1' })).toEqual(ofSlack);
  });

  it('refuses to start when agents lack their handlers, and names each, and the handlers that exist', async () => {
    const { lifecycle, listen } = setUp({ research: {}, b: { handler: 'x' }, main: {} }, ['echo', 'other']);
    expect(await listen()).toMatchObject({
      code: 'no_handler',
      message: expect.stringMatching(
        /^agents\.research\.handler: .*'research'.*agents\.b\.handler: .*'x'.*wanted one of echo, other\./,
      ),
    });
    expect(lifecycle.agents).toBeUndefined();
  });

  it('starts without agents whose handler or secret only other workers have, and says what it lacks', async () => {
    const leftOut: string[][] = [];
    const agents = { main: {}, theirs: {}, signed: { url: 'http://a/', lacks: 'agents.signed.secret' } };
    const { lifecycle, listen } = setUp(agents, ['echo'], new FakeLifecycle(), {
      mayLack: (agent) => agent === 'theirs',
      onLeftOut: (...told) => void leftOut.push(told),
    });
    expect(await listen()).toBeUndefined();
    expect([...(lifecycle.agents?.keys() ?? [])]).toEqual(['main']);
    expect(leftOut).toEqual([
      ['theirs', "@OnTurn('theirs')"],
      ['signed', 'agents.signed.secret'],
    ]);
  });

  it('refuses to start without the handler of an agent in its own settings', async () => {
    const { listen } = setUp({ main: {}, own: {} }, ['echo'], new FakeLifecycle(), {
      mayLack: (agent) => agent !== 'own',
    });
    expect(await listen()).toMatchObject({
      code: 'no_handler',
      message: expect.stringContaining('agents.own.handler'),
    });
  });

  it('refuses main too when the echo handler is missing', async () => {
    const { listen } = setUp({ main: {} }, []);
    expect(await listen()).toMatchObject({
      message: expect.stringMatching(/agents\.main\.handler.*wanted one of none/),
    });
  });

  it('passes a start error to the listener, and stops its turns', async () => {
    const lifecycle = new FakeLifecycle();
    lifecycle.problem = new Error('no broker');
    const { server, listen } = setUp({ main: {} }, ['echo'], lifecycle);
    expect(await listen()).toBe(lifecycle.problem);
    await server.close();
    expect(lifecycle.stops).toBe(1);
    expect(server.unwrap()).toBe(lifecycle);
    expect(() => server.on()).toThrow('no events');
  });
});
