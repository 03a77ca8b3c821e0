import { JetStreamApiError } from '@nats-io/jetstream';
import { TimeoutError } from '@nats-io/transport-node';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { silentLogger, type Logger } from '#telemetry';
import { BrokerAwayError } from './broker-away-error.js';
import { inShortTries, untilJetStreamAnswers } from './patience.client.js';

const apiError = (code: number, description: string): Error =>
  new JetStreamApiError({ code: 503, err_code: code, description });

/** Fails with these errors, one after another, then answers. */
function failing(...errors: Error[]): () => Promise<string> {
  return () => {
    const error = errors.shift();
    return error === undefined ? Promise.resolve('answer') : Promise.reject(error);
  };
}

function warnings(): { log: Logger; told: [object, string][] } {
  const told: [object, string][] = [];
  return { told, log: { ...silentLogger, warn: (fields, message) => void told.push([fields, message]) } };
}

it('waits while no leader answers, and logs once per reason what it waits for', async () => {
  const { log, told } = warnings();
  const attempt = failing(
    new TimeoutError(),
    new TimeoutError(),
    new BrokerAwayError(),
    apiError(10_008, 'JetStream system temporarily unavailable'),
  );
  expect(await untilJetStreamAnswers(attempt, { log })).toBe('answer');
  expect(told.map(([, message]) => message)).toEqual(Array(3).fill(expect.stringContaining('elects a leader')));
  expect(told[0]?.[0]).toEqual({ error: 'TimeoutError: timeout' });
});

it('rejects at once with an error that waiting does not fix', async () => {
  const { log, told } = warnings();
  const mistake = apiError(10_074, 'replicas > 1 not supported in non-clustered mode');
  await expect(untilJetStreamAnswers(failing(mistake), { log })).rejects.toBe(mistake);
  expect(told).toEqual([]);
});

it('a stop ends the wait, even between two tries', async () => {
  const stopping = new AbortController();
  const { log } = warnings();
  const waiting = untilJetStreamAnswers(() => Promise.reject(new TimeoutError()), {
    log: { ...log, warn: () => stopping.abort() },
    signal: stopping.signal,
  });
  await expect(waiting).rejects.toThrow(/abort/i);
  await expect(untilJetStreamAnswers(failing(), { log, signal: stopping.signal })).rejects.toThrow(/abort/i);
});

describe('in short tries', () => {
  afterEach(() => void vi.useRealTimers());

  const asked = (answers: ((number: number) => Promise<string>)[]) => {
    vi.useFakeTimers();
    let count = 0;
    const ask = () => {
      const answer = answers[Math.min(count, answers.length - 1)] as (number: number) => Promise<string>;
      return answer(++count);
    };
    return { ask, count: () => count };
  };
  const after = (ms: number) => (number: number) =>
    new Promise<string>((resolve) => setTimeout(() => resolve(`answer to ${number}`), ms));
  const never = () => new Promise<string>(() => {});

  it('a slow but healthy broker answers: a late answer to an earlier try counts', async () => {
    const { ask, count } = asked([after(1_000)]);
    const answer = inShortTries(ask, 5_000);
    await vi.advanceTimersByTimeAsync(1_000);
    expect([await answer, count()]).toEqual(['answer to 1', 2]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect([count(), vi.getTimerCount()]).toEqual([2, 0]);
  });

  it('an answer at the last moment counts, and no further try is sent', async () => {
    const { ask, count } = asked([after(4_990)]);
    const answer = inShortTries(ask, 5_000);
    await vi.advanceTimersByTimeAsync(4_990);
    expect(await answer).toBe('answer to 1');
    expect(count()).toBeLessThan(8);
  });

  it('a lost request is sent again soon', async () => {
    const { ask, count } = asked([never, after(5)]);
    const answer = inShortTries(ask, 5_000);
    await vi.advanceTimersByTimeAsync(755);
    expect([await answer, count()]).toEqual(['answer to 2', 2]);
  });

  it('a silent broker counts as away when the total time is over', async () => {
    const { ask } = asked([never]);
    const isAway = expect(inShortTries(ask, 5_000)).rejects.toBeInstanceOf(BrokerAwayError);
    await vi.advanceTimersByTimeAsync(5_000);
    await isAway;
    expect(vi.getTimerCount()).toBe(0);
  });

  it('an error that waiting does not fix ends it, even as the answer to an earlier try', async () => {
    const late = () => new Promise<string>((_, reject) => setTimeout(() => reject(new Error('a mistake')), 800));
    const { ask } = asked([late, never]);
    const fails = expect(inShortTries(ask, 5_000)).rejects.toThrow('a mistake');
    await vi.advanceTimersByTimeAsync(800);
    await fails;
    expect(vi.getTimerCount()).toBe(0);
  });

  it('a failure of an earlier try does not shorten the try after it', async () => {
    const late = () => new Promise<string>((_, reject) => setTimeout(() => reject(new TimeoutError()), 800));
    const { ask, count } = asked([late, after(600)]);
    const answer = inShortTries(ask, 5_000);
    await vi.advanceTimersByTimeAsync(1_350);
    expect([await answer, count()]).toEqual(['answer to 2', 2]);
  });
});
