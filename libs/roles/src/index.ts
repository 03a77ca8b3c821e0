export { collectGarbage, setEngineFlags } from './engine-flags.js';
export { runProcess, type ProcessContext, type RunningService } from './run-process.js';
export { brokerUrl, runRole, type RoleContext } from './run-role.js';
