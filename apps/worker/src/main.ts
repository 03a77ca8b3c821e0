import '#check-node';
import 'reflect-metadata';

// Behind the check, which an `import` at the top would not be.
const { runRole } = await import('#roles');
const { startWorker } = await import('./start-worker.js');

await runRole('worker', startWorker);
