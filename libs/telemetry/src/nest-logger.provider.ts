import type { LoggerService } from '@nestjs/common';
import type { Logger } from './logger.js';

/** Contexts under which Nest logs every module and route at start. These lines only help when debugging a start. */
const START_UP_CONTEXTS = new Set([
  'NestFactory',
  'InstanceLoader',
  'RoutesResolver',
  'RouterExplorer',
  'NestApplication',
  'NestMicroservice',
]);

type Level = 'debug' | 'info' | 'warn' | 'error';

/**
 * Sends Nest's log calls to our log. Nest passes a message, then any values, then the context as the last string. On
 * `error` a stack or `undefined` may come between, and often both an Error and its own stack are given.
 */
export class NestLogger implements LoggerService {
  constructor(private readonly logger: Logger) {}

  log(message: unknown, ...rest: unknown[]): void {
    const entry = readCall(message, rest);
    this.write(START_UP_CONTEXTS.has(entry.context ?? '') ? 'debug' : 'info', entry);
  }

  error(message: unknown, ...rest: unknown[]): void {
    this.write('error', readCall(message, rest));
  }

  warn(message: unknown, ...rest: unknown[]): void {
    this.write('warn', readCall(message, rest));
  }

  debug(message: unknown, ...rest: unknown[]): void {
    this.write('debug', readCall(message, rest));
  }

  verbose(message: unknown, ...rest: unknown[]): void {
    this.write('debug', readCall(message, rest));
  }

  fatal(message: unknown, ...rest: unknown[]): void {
    this.write('error', readCall(message, rest));
  }

  private write(level: Level, { context, fields, message }: NestCall): void {
    this.logger[level](context === undefined ? fields : { ...fields, context }, message);
  }
}

interface NestCall {
  readonly context?: string;
  readonly fields: object;
  readonly message: string;
}

function readCall(first: unknown, rest: readonly unknown[]): NestCall {
  const last = rest.at(-1);
  const context = typeof last === 'string' && !isStack(last) ? { context: last } : {};
  const others = 'context' in context ? rest.slice(0, -1) : rest;
  const params = others.filter((value) => value !== undefined && !isStack(value) && !(value instanceof Error));
  const error = errorFields([first, ...others]);
  const fields = { ...(isPlain(first) ? first : {}), ...error, ...(params.length > 0 ? { params } : {}) };
  return { ...context, fields, message: messageOf(first) };
}

/** Name and stack, once, from an Error, a stack, or both. */
function errorFields(values: readonly unknown[]): { error?: { name?: string; stack?: string } } {
  const error = values.find((value) => value instanceof Error);
  const stack = error?.stack ?? values.find(isStack);
  if (error === undefined && stack === undefined) return {};
  return { error: { ...(error && { name: error.name }), ...(stack !== undefined && { stack }) } };
}

function messageOf(value: unknown): string {
  if (value instanceof Error) return value.message || value.name;
  // If the message is a stack, the fields have it already. Its first line says what happened.
  if (typeof value === 'string') return isStack(value) ? (value.split('\n', 1)[0] ?? value) : value;
  if (isPlain(value)) return typeof value['message'] === 'string' ? value['message'] : 'log entry';
  if (typeof value === 'function') return value.name;
  return String(value);
}

function isStack(value: unknown): value is string {
  return typeof value === 'string' && /\n[ \t]+at .+:\d+:\d+/.test(value);
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Error);
}
