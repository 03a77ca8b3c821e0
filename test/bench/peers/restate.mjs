// Restate on the bench's work: `serve` is the service, a virtual object for each session with a handler that does nothing;
// `call` calls it through the ingress and awaits each answer, which comes when the end of the call is stored.
import { connect } from 'node:http2';
import { object, serve } from '@restatedev/restate-sdk';
import { feed, nowMs, sessionsInTurn, warmupSessionOf } from './bench-work.mjs';

const { role, port, ingressUrl, adminUrl, serviceUrl, messages, sessions, warmup } = JSON.parse(process.argv[2]);

if (role === 'serve') {
  const session = object({ name: 'session', handlers: { turn: async () => {} } });
  await serve({ services: [session], port, logger: () => {} });
  console.log('ready');
} else {
  await register();
  const ingress = connect(ingressUrl);
  ingress.setMaxListeners(0);
  await feed(warmup, warmupSessionOf, (session, payload) => call(ingress, session, payload));
  console.log(`began ${nowMs()}`);
  await feed(messages, sessionsInTurn(sessions), (session, payload) => call(ingress, session, payload));
  console.log(`done ${nowMs()}`);
  ingress.close();
}

async function register() {
  const response = await fetch(`${adminUrl}/deployments`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ uri: serviceUrl }),
  });
  if (!response.ok) throw new Error(`the service was not registered: ${response.status} ${await response.text()}`);
}

function call(ingress, session, payload) {
  return new Promise((resolve, reject) => {
    const request = ingress.request({
      ':method': 'POST',
      ':path': `/session/${session}/turn`,
      'content-type': 'application/json',
    });
    let status;
    request.on('response', (headers) => (status = headers[':status']));
    request.on('error', reject);
    request.on('end', () => (status < 300 ? resolve() : reject(new Error(`Restate answered ${status}`))));
    request.resume();
    request.end(JSON.stringify(payload));
  });
}
