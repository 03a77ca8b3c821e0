import 'reflect-metadata';
import { runRole } from '#roles';
import { startWorker } from './start-worker.js';

await runRole('worker', startWorker);
