import { Catch, type ExceptionFilter } from '@nestjs/common';

/**
 * Lets what a handler threw reach the turn's record as it is. Nest's own last filter would write the error's text to the
 * log first, and an agent's errors may quote what people said. A filter of the user's stands before this one.
 */
@Catch()
export class RethrowFilter implements ExceptionFilter {
  catch(error: unknown): never {
    throw error;
  }
}
