import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import { OnTurn } from '#agents';
import { RetryLaterError, TerminalError } from '#contracts';
import { runRole } from '#roles';
import { startWorker } from '#worker';

/**
 * A worker as users build their own: the role `worker` with a handler in it, beside the agents over HTTP. Its turns run one
 * task each, which their messages name, and the work under it is a call of the agent outside, which records it.
 */
class Hands {
  async run(turn) {
    const { name, namespace, ...options } = turn.message.data.runs;
    const ran = await turn.tasks.run({ name, namespace }, (held) => callAgent(turn, held), options);
    const turns = (turn.state.get()?.turns ?? 0) + 1;
    turn.state.set({ turns });
    turn.reply(ran.kind === 'ran' || ran.kind === 'done' ? ran.result : ran.kind);
  }
}
OnTurn('hands')(Hands.prototype, 'run', Object.getOwnPropertyDescriptor(Hands.prototype, 'run'));
Injectable()(Hands);

async function callAgent({ runId, attempt, session, messages }, { key, token, signal }) {
  const task = token === undefined ? {} : { task: { key, token } };
  const response = await fetch(process.env.CHAOS_AGENT_URL, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ runId, attempt, session, messages, state: null, ...task }),
    signal,
  });
  const { status } = response;
  if (status === 429) throw new RetryLaterError({ retryAfterMs: 1_000 });
  if (status >= 500) throw new Error(`the agent answered ${status}`);
  if (status >= 400) throw new TerminalError(`the agent answered ${status}`);
  const { replies } = await response.json();
  return replies[0];
}

await runRole('worker', (context) => startWorker({ ...context, providers: [Hands] }));
