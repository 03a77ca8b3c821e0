import { applyDecorators, HttpCode } from '@nestjs/common';
import { ApiHeader, ApiOperation, ApiQuery, ApiResponse } from '@nestjs/swagger';

/** The decorators that all cancel routes share. */
export function CancelRoute(summary: string): MethodDecorator {
  return applyDecorators(
    HttpCode(202),
    ApiOperation({ summary }),
    ApiQuery({ name: 'wait', required: false, description: 'Wait until it is decided, e.g. 30s (at most 10m)' }),
    ApiHeader({ name: 'Idempotency-Key', required: false, description: 'Under one key it is stored once' }),
    ApiResponse({ status: 202, description: '{messageId, seq, duplicate}: stored for good, under an id of its own' }),
    ApiResponse({ status: 200, description: '{messageId, seq, duplicate, cancelled: [{id, seq}]}' }),
    ApiResponse({ status: 422, description: 'The Idempotency-Key was used for another cancel' }),
    ApiResponse({ status: 503, description: 'The broker is away or full; see Retry-After' }),
  );
}
