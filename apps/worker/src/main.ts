import '#check-node';
import 'reflect-metadata';

// Dynamic imports, so that the check of the Node version runs first.
const { runRole } = await import('#roles');
const { startWorker } = await import('./start-worker.js');

await runRole('worker', startWorker);
