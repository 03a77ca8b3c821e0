import { Logger as NestsLogger } from '@nestjs/common';
import { afterAll, describe, expect, it } from 'vitest';
import type { Logger } from './logger.js';
import { NestLogger } from './nest-logger.provider.js';

type Line = [level: string, fields: Record<string, unknown>, message: string];

function capture(): { nest: NestLogger; lines: Line[] } {
  const lines: Line[] = [];
  const at = (level: string) => (fields: object, message: string) => void lines.push([level, { ...fields }, message]);
  const log: Logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child: () => log };
  return { nest: new NestLogger(log), lines };
}

const failure = new TypeError('boom');
const stack = failure.stack as string;
const error = { name: 'TypeError', stack };

describe('NestLogger', () => {
  it.each<[string, 'log' | 'error' | 'warn' | 'debug' | 'verbose' | 'fatal', unknown[], Line]>([
    ['message and context', 'log', ['hello', 'Ctx'], ['info', { context: 'Ctx' }, 'hello']],
    ['message alone', 'log', ['hello'], ['info', {}, 'hello']],
    ['start-up chatter', 'log', ['mapped', 'RouterExplorer'], ['debug', { context: 'RouterExplorer' }, 'mapped']],
    ['a start-up warning stays', 'warn', ['odd', 'RouterExplorer'], ['warn', { context: 'RouterExplorer' }, 'odd']],
    ['verbose', 'verbose', ['x', 'C'], ['debug', { context: 'C' }, 'x']],
    ['debug', 'debug', ['x'], ['debug', {}, 'x']],
    ['fatal', 'fatal', ['x', 'C'], ['error', { context: 'C' }, 'x']],
    ['Error', 'error', [failure, undefined, 'C'], ['error', { context: 'C', error }, 'boom']],
    ['Error and its stack', 'error', [failure, stack, 'C'], ['error', { context: 'C', error }, 'boom']],
    ['Error and its stack, no context', 'error', [failure, stack], ['error', { error }, 'boom']],
    ['message and stack', 'error', ['bad', stack], ['error', { error: { stack } }, 'bad']],
    ['message, stack, context', 'error', ['bad', stack, 'C'], ['error', { context: 'C', error: { stack } }, 'bad']],
    ['message, Error, context', 'error', ['bad', failure, 'C'], ['error', { context: 'C', error }, 'bad']],
    ['a stack alone', 'error', [stack], ['error', { error: { stack } }, 'TypeError: boom']],
    ['an object', 'log', [{ n: 1, message: 'm' }, 'C'], ['info', { n: 1, message: 'm', context: 'C' }, 'm']],
    ['params', 'log', ['m', { n: 1 }, 'C'], ['info', { params: [{ n: 1 }], context: 'C' }, 'm']],
    ['undefined', 'log', [undefined], ['info', {}, 'undefined']],
    [
      'an Error without message',
      'warn',
      [Object.assign(new Error(), { stack: undefined })],
      ['warn', { error: { name: 'Error' } }, 'Error'],
    ],
  ])('%s', (_title, method, [message, ...rest], expected) => {
    const { nest, lines } = capture();
    nest[method](message, ...rest);
    expect(lines).toEqual([expected]);
  });

  describe('behind Nest’s own Logger', () => {
    afterAll(() => NestsLogger.overrideLogger(true as never));

    it('context and stack arrive as Nest passes them', () => {
      const { nest, lines } = capture();
      NestsLogger.overrideLogger(nest);
      const logger = new NestsLogger('Server');
      logger.log('up');
      logger.error(failure);
      logger.error('bad', stack);
      expect(lines).toEqual([
        ['info', { context: 'Server' }, 'up'],
        ['error', { context: 'Server', error }, 'boom'],
        ['error', { context: 'Server', error: { stack } }, 'bad'],
      ]);
    });
  });
});
