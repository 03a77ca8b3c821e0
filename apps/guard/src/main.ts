import 'reflect-metadata';
import { runRole } from '#roles';
import { startGuard } from './start-guard.js';

await runRole('guard', startGuard);
