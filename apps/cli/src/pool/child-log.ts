import type { Logger } from '#telemetry';

const LEVELS = {
  trace: 'debug',
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  error: 'error',
  fatal: 'error',
} as const;

/** Fields that every line of ours has anyway. */
const OWN_FIELDS = ['level', 'time', 'service', 'msg'];

/**
 * Writes a child's log line into our log: in our form (a person at the terminal gets one line to read, a machine JSON) and
 * with the fields of `log`, which name the child. `false` for a line that is not a log line, such as the output of a crash.
 */
export function passLogLine(line: string, log: Logger): boolean {
  const entry = readEntry(line);
  if (entry === undefined) return false;
  const fields = Object.fromEntries(Object.entries(entry).filter(([name]) => !OWN_FIELDS.includes(name)));
  log[LEVELS[entry.level]](fields, entry.msg);
  return true;
}

interface LogEntry {
  readonly level: keyof typeof LEVELS;
  readonly msg: string;
}

function readEntry(line: string): LogEntry | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const entry = JSON.parse(line) as Partial<LogEntry>;
    const isOurs = Object.hasOwn(LEVELS, String(entry.level)) && typeof entry.msg === 'string';
    return isOurs ? (entry as LogEntry) : undefined;
  } catch {
    return undefined;
  }
}
