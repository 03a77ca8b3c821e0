export { createLogger, silentLogger, type LogLevel, type Logger, type LoggerOptions } from './logger.js';
export { NestLogger } from './nest-logger.provider.js';
export { asContext, readTraceContext, runInTrace, type TraceContext } from './trace-context.js';
