import '#check-node';
import 'reflect-metadata';

// Behind the check, which an `import` at the top would not be.
const { runRole } = await import('#roles');
const { startGuard } = await import('./start-guard.js');

await runRole('guard', startGuard);
