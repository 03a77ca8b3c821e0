import 'reflect-metadata';
import { runRole } from '#roles';
import { startIngress } from './start-ingress.js';

await runRole('ingress', startIngress);
