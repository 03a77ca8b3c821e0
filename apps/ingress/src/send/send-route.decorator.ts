import { applyDecorators, HttpCode } from '@nestjs/common';
import { ApiBody, ApiHeader, ApiOperation, ApiQuery, ApiResponse } from '@nestjs/swagger';
import type { BodySchema } from '#http';

const DECIDED =
  'decision, status, reason?, runId?, error?, answeredWith?, replies: [{text?, data?}]}. A turn answers all messages that it ' +
  'took: status, runId and error are the same for those that it handled and for those that are skipped or superseded in it, ' +
  'and decision tells them apart. Its replies are told with the latest of them that did not end dead; the others have answeredWith, that one’s id, ' +
  'and no replies, unless ?replies=all asks for them. A message that was in no turn (dropped, expired, cancelled, refused, rejected) has its ' +
  'decision as status and no runId; reason says why, and replies are what its sender is told, if anything';

export const ALL_REPLIES = {
  name: 'replies',
  required: false,
  description: '`all`: the replies of its turn also when they are told with another message',
};

/** The decorators that all send routes share. `more`: fields that only the answers of this route have. */
export function SendRoute(summary: string, schema: BodySchema, more = ''): MethodDecorator {
  return applyDecorators(
    HttpCode(202),
    ApiOperation({ summary }),
    ApiQuery({ name: 'wait', required: false, description: 'Wait until it is decided, e.g. 30s (at most 10m)' }),
    ApiQuery(ALL_REPLIES),
    ApiHeader({ name: 'Idempotency-Key', required: false, description: 'The id, when the body has none' }),
    ApiBody({ schema }),
    ApiResponse({ status: 202, description: `{messageId, seq, duplicate${more}}` }),
    ApiResponse({ status: 200, description: `{messageId, seq, duplicate${more}, ${DECIDED}` }),
    ApiResponse({ status: 404, description: 'No agent of this name is configured' }),
    ApiResponse({ status: 413, description: 'Text over 256 KiB, or the whole message over its limit' }),
    ApiResponse({
      status: 422,
      description:
        'A field is wrong (invalid-body), the id was used for another content (idempotency-mismatch), or the sequence for ' +
        'another message (sequence-used)',
    }),
    ApiResponse({ status: 503, description: 'The broker is away or full; see Retry-After' }),
  );
}
