export {
  startGuard,
  startGuardWithoutPort,
  type GuardWithoutPort,
  type RunningGuard,
  type StartGuardOptions,
} from './start-guard.js';
