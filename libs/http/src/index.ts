export { CURSOR_QUERY, documentAnswer, documentBody, LIMIT_QUERY, type BodySchema } from './openapi.schema.js';
export { type DirectRoute } from './direct-route.provider.js';
export { HttpAppModule } from './http-app.module.js';
export { brokerUnavailable, inputProblem, notFound, ProblemException, type Problem } from './problem.exception.js';
export type { Need } from './readiness.indicator.js';
export { acceptsJson, readTrace } from './header-fields.js';
export { oneText, readCursor, readLimit } from './page-query.js';
export { startHttpApp, type HttpAppOptions, type RunningHttpApp } from './start-http-app.js';
