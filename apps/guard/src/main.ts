import '#check-node';
import 'reflect-metadata';

// After the check; an `import` at the top would run before it.
const { runRole } = await import('#roles');
const { startGuard } = await import('./start-guard.js');

await runRole('guard', startGuard);
