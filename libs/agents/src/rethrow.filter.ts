import { Catch, type ExceptionFilter } from '@nestjs/common';

/**
 * Rethrows a handler's error, so that it reaches the turn's record unchanged. Nest's default filter would log the
 * error's text, which may quote what people wrote. Filters of the user run before this one.
 */
@Catch()
export class RethrowFilter implements ExceptionFilter {
  catch(error: unknown): never {
    throw error;
  }
}
