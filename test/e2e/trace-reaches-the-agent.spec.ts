import 'reflect-metadata';
import {
  Injectable,
  UseInterceptors,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { afterEach, expect, it } from 'vitest';
import { currentTurn, OnTurn, type Turn } from '#agents';
import { loadSettings } from '#config';
import { silentLogger } from '#telemetry';
import { expectNothingLeft, startBroker, startService, tempDir } from '#testing';
import { startWorker } from '#worker';
import { ApiClient } from '../support/api-client.js';

afterEach(expectNothingLeft);

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

@Injectable()
class CountTurns implements NestInterceptor {
  static seen: string[] = [];
  intercept(context: ExecutionContext, next: CallHandler): ReturnType<CallHandler['handle']> {
    CountTurns.seen.push(context.switchToRpc().getData<Turn>().runId);
    return next.handle();
  }
}

/** A user's own agent: an ordinary provider, with an injected dependency and an interceptor. */
@Injectable()
class Greeting {
  readonly word = 'hello';
}

@Injectable()
class TracingAgent {
  constructor(private readonly greeting: Greeting) {}

  @OnTurn('main')
  @UseInterceptors(CountTurns)
  async answer(turn: Turn): Promise<object> {
    await Promise.resolve();
    const count = ((turn.state.get() as number | undefined) ?? 0) + 1;
    return {
      replies: [
        {
          text: this.greeting.word,
          data: {
            trace: turn.trace ?? null,
            sameTurn: currentTurn() === turn,
            thread: turn.message.thread ?? null,
            count,
          },
        },
      ],
      state: count,
    };
  }
}

it('the caller’s trace goes from the HTTP request through the broker to the agent, which is a Nest provider', async () => {
  await using broker = await startBroker();
  await using dir = await tempDir('worker');
  const env = { LANEKEEPER_NATS_URL: broker.url, LANEKEEPER_HTTP_PORT: '0', LANEKEEPER_LOG_LEVEL: 'error' };
  await using ingress = await startService({ args: ['ingress'], cwd: dir.path, env });
  const worker = await startWorker({
    settings: loadSettings({ env, cwd: dir.path }),
    natsUrl: broker.url,
    log: silentLogger,
    providers: [Greeting, TracingAgent, CountTurns],
  });
  try {
    const api = new ApiClient(ingress.url ?? '');
    const headers = { traceparent: TRACEPARENT, tracestate: 'vendor=1' };
    const traced = await api.send('s', { text: 'x', thread: 'topic 7' }, { wait: '20s', headers });
    expect(traced.body.replies).toEqual([
      {
        text: 'hello',
        data: {
          trace: { traceparent: TRACEPARENT, tracestate: 'vendor=1' },
          sameTurn: true,
          thread: 'topic 7',
          count: 1,
        },
      },
    ]);
    const untraced = await api.send('s', { text: 'x' }, { wait: '20s', headers: { traceparent: 'not a traceparent' } });
    // A broken header costs the trace, never the message; and the state of the first turn is there.
    expect(untraced.body.replies[0].data).toEqual({ trace: null, sameTurn: true, thread: null, count: 2 });
    expect(CountTurns.seen).toEqual([traced.body.runId, untraced.body.runId]);
  } finally {
    await worker.stop();
  }
});
