import type { FastifyInstance, FastifyRequest } from 'fastify';
import { decodeUtf8, readJson, writeJson, type CarriedMembers } from '#contracts';
import { inputProblem, ProblemException } from './problem.exception.js';

/** Fields of any body that are kept and handed on exactly as the sender wrote them. */
const CARRIED: CarriedMembers = { data: true, meta: true, result: true };

const JSON_TYPE = 'application/json';
/** US-ASCII is a part of UTF-8. */
const CHARSETS = new Set(['utf-8', 'utf8', 'us-ascii']);

/**
 * Reads bodies exactly. Fastify's own parser turns bytes that are not UTF-8 into other text, and accepts documents that two
 * parsers may read differently. Answers carry JSON of senders and agents unchanged, too.
 */
export function carryJson(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser(JSON_TYPE, { parseAs: 'buffer' }, (request, body, done) => {
    try {
      checkType(request);
      done(null, readBody(body as Buffer));
    } catch (error) {
      done(error as Error, undefined);
    }
  });
  fastify.setReplySerializer((payload) => writeJson(payload) ?? '');
}

function checkType({ headers }: FastifyRequest): void {
  const type = headers['content-type'];
  if (type !== JSON_TYPE) {
    // When it is given twice, one reader takes the first and another the last.
    for (const [, charset = ''] of (type ?? '').matchAll(/;\s*charset\s*=\s*"?([^\s;"]*)/gi)) {
      if (CHARSETS.has(charset.toLowerCase())) continue;
      throw unsupported(`Content-Type: found the charset ${JSON.stringify(charset)}, wanted utf-8`);
    }
  }
  const coding = headers['content-encoding'];
  if (coding !== undefined && coding !== 'identity') {
    throw unsupported('Content-Encoding: found one, wanted none; send the JSON itself');
  }
}

function readBody(bytes: Buffer): unknown {
  const text = decodeUtf8(bytes);
  if (text === undefined) throw bodyProblem('bytes that are no UTF-8', 'JSON in UTF-8');
  // Some senders begin with a byte order mark. Before the document it is no part of it (RFC 8259, section 8.1).
  const read = readJson(text.startsWith('\ufeff') ? text.slice(1) : text, CARRIED);
  if (read.ok) return read.value;
  if (read.fault === undefined) throw bodyProblem(text === '' ? 'nothing' : 'a text that is no JSON', 'JSON');
  const { field, found, wanted } = read.fault;
  throw inputProblem(422, [{ field: field === '' ? 'body' : field, found, wanted }]);
}

function bodyProblem(found: string, wanted: string): ProblemException {
  return inputProblem(400, [{ field: 'body', found, wanted }]);
}

function unsupported(detail: string): ProblemException {
  return new ProblemException({ status: 415, code: 'unsupported-media-type', title: 'The body is no JSON', detail });
}
