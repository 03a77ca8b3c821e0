import { isatty } from 'node:tty';
import {
  destination as fileDestination,
  pino,
  stdSerializers,
  type DestinationStream,
  type Logger as PinoLogger,
} from 'pino';
import { PinoPretty as pretty } from 'pino-pretty';

/** The log as domain code sees it. `fields` are for machines. `message` is a fixed text for people. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** A logger that adds `fields` to each of its lines. */
  child(fields: object): Logger;
}

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface LoggerOptions {
  /** Lowest level that is written; silent = none. */
  readonly level: LogLevel;
  /** Field `service` of each line - default lanekeeper. */
  readonly service?: string;
  /** Receives whole lines - default: stderr, written synchronously, so that no line is lost when the process dies. */
  readonly destination?: DestinationStream;
}

/** Keys of contents and credentials. They are redacted in the first three levels of a line. */
const REDACTED_KEYS = ['text', 'data', 'authorization', 'token', 'password', 'state'];
const REDACTED_PATHS = REDACTED_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]);

const STDERR = 2;

/** JSON lines for machines, one readable line each for a person at a terminal. */
function standardError(): DestinationStream {
  if (!isatty(STDERR)) return fileDestination({ dest: STDERR, sync: true });
  return pretty({
    destination: STDERR,
    sync: true,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'service',
    singleLine: true,
  });
}

/** Creates a logger. Logs go to stderr; stdout is for the `ready` line and for output of commands. */
export function createLogger(options: LoggerOptions): Logger {
  const { level, service = 'lanekeeper', destination = standardError() } = options;
  const log = pino(
    {
      level,
      base: { service },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: stdSerializers.err },
      redact: { paths: REDACTED_PATHS, censor: '[redacted]' },
    },
    destination,
  );
  return new SafeLogger(log);
}

/**
 * If a value cannot be serialized (a getter or `toJSON` that throws), the line loses its fields and the caller
 * continues.
 */
class SafeLogger implements Logger {
  constructor(private readonly log: PinoLogger) {}

  debug(fields: object, message: string): void {
    this.write('debug', fields, message);
  }

  info(fields: object, message: string): void {
    this.write('info', fields, message);
  }

  warn(fields: object, message: string): void {
    this.write('warn', fields, message);
  }

  error(fields: object, message: string): void {
    this.write('error', fields, message);
  }

  child(fields: object): Logger {
    try {
      return new SafeLogger(this.log.child(fields));
    } catch {
      return this;
    }
  }

  private write(level: 'debug' | 'info' | 'warn' | 'error', fields: object, message: string): void {
    try {
      this.log[level](fields, message);
    } catch {
      this.log[level]({ fieldsLost: true }, message);
    }
  }
}

/** Writes nothing. For specs. */
export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLogger,
};
