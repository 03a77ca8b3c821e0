import '#check-node';
import 'reflect-metadata';

// Behind the check, which an `import` at the top would not be.
const { runRole } = await import('#roles');
const { startIngress } = await import('./start-ingress.js');

await runRole('ingress', startIngress);
