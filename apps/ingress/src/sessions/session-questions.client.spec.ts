import { NoRespondersError, RequestError, TimeoutError } from '@nats-io/transport-node';
import { expect, it } from 'vitest';
import { Names, type SessionAnswer } from '#contracts';
import type { BrokerConnection } from '#jetstream';
import { SessionQuestions } from './session-questions.client.js';

const names = new Names('lk', 64);
const key = names.sessionTokens('main', 's');
const answer: SessionAnswer = { state: 'idle', depth: 0, oldestMs: null, worker: 'w/1' };
const noOwner = new RequestError('no responders', { cause: new NoRespondersError('lk.rpc.shard.1') });

/** What each request meets; the last is what all further ones meet, too. */
function questionsOf(...outcomes: (SessionAnswer | Error)[]) {
  const asked: string[] = [];
  const request = (subject: string) => {
    const outcome = outcomes[Math.min(asked.length, outcomes.length - 1)];
    asked.push(subject);
    return outcome instanceof Error ? Promise.reject(outcome) : Promise.resolve({ json: () => outcome });
  };
  return { questions: new SessionQuestions({ nc: { request } } as unknown as BrokerConnection, names), asked };
}

it('goes to the owner of the session’s shard', async () => {
  const { questions, asked } = questionsOf(answer);
  expect(await questions.ask(key)).toEqual(answer);
  expect(asked).toEqual([names.shardRpcSubject(key.shard)]);
});

it('is asked again while the shard changes hands', async () => {
  const { questions, asked } = questionsOf(noOwner, noOwner, answer);
  expect(await questions.ask(key)).toEqual(answer);
  expect(asked).toHaveLength(3);
});

it('ends without an answer when the shard has no owner', async () => {
  const { questions, asked } = questionsOf(noOwner);
  const begun = performance.now();
  expect(await questions.ask(key)).toBeUndefined();
  expect(performance.now() - begun).toBeLessThan(1_000);
  expect(asked.length).toBeGreaterThan(2);
});

it.each([new TimeoutError(), new RequestError('connection closed'), new Error('no JSON')])(
  'is not repeated after %s: its owner is there and does not answer, or no worker can be asked',
  async (error) => {
    const { questions, asked } = questionsOf(error);
    expect(await questions.ask(key)).toBeUndefined();
    expect(asked).toHaveLength(1);
  },
);
