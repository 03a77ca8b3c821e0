export { startFaultProxy, type FaultProxy } from './fault-proxy.js';
export { expectNothingLeft } from './leak-check.js';
export { startBroker, type TestBroker, type TestBrokerOptions } from './nats-broker.js';
export type { OwnedProcess, ProcessEnd } from './owned-process.js';
export { isRunning } from './running.js';
export { startService, type ServiceOptions, type ServiceProcess } from './service-process.js';
export { spawnSourceProgram } from './source-program.js';
export { tempDir, type TempDir } from './temp-dir.js';
export { until, type UntilOptions } from './until.js';
