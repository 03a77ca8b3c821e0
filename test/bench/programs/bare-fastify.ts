import { randomUUID } from 'node:crypto';
import { fastify } from 'fastify';
import { checkSendMessageBody } from '#contracts';

/** Ingress without its work: the same body checked by the same schema, an answer of the same shape, nothing stored. */
process.once('SIGTERM', () => process.exit());

const app = fastify();
let seq = 0;
app.post('/v1/agents/:agent/sessions/:session/messages', (request, reply) => {
  const checked = checkSendMessageBody(request.body);
  if (!checked.ok) return reply.status(422).send({ problems: checked.problems });
  return reply.status(202).send({ messageId: checked.body.id ?? randomUUID(), seq: ++seq, duplicate: false });
});
process.stdout.write(`ready ${await app.listen({ host: '127.0.0.1', port: 0 })}\n`);
