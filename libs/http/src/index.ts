export { documentBody, type BodySchema } from './body.schema.js';
export { BrokerIndicator, type BrokerPulse } from './broker.indicator.js';
export { brokerUnavailable, inputProblem, notFound, ProblemException, type Problem } from './problem.exception.js';
export { ProblemFilter } from './problem.filter.js';
export { acceptsJson, oneText, readCursor, readLimit, readTrace } from './request-fields.js';
export { startHttpApp, type HttpAppOptions, type RunningHttpApp } from './start-http-app.js';
