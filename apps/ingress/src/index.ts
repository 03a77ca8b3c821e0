export { startIngress, type RunningIngress, type StartIngressOptions } from './start-ingress.js';
