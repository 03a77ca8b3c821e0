export { compileCache } from './compile-cache.js';
export { connectedBroker, type ConnectedBroker } from './connected-broker.js';
export { startFaultProxy, type FaultProxy } from './fault-proxy.js';
export { freePorts } from './free-ports.js';
export { endAllTracked, expectNothingLeft, track } from './leak-check.js';
export { ManualClock, settled } from './manual-clock.js';
export { startBroker, type TestBroker, type TestBrokerOptions } from './nats-broker.js';
export {
  startBrokerCluster,
  SYSTEM_USER,
  type BrokerPlace,
  type TestBrokerCluster,
  type TestBrokerNode,
} from './nats-cluster.js';
export { spawnOwned, type OwnedProcess, type ProcessEnd } from './owned-process.js';
export { startRedis, type RedisKeeps, type TestRedis } from './redis-server.js';
export { isRunning } from './running.js';
export { startService, type ServiceOptions, type ServiceProcess } from './service-process.js';
export { spawnSourceProgram } from './source-program.js';
export { tempDir, type TempDir } from './temp-dir.js';
export { until, type UntilOptions } from './until.js';
