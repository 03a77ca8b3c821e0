import { packageRoot } from '#config';
import { hostEnv } from './host-env.js';
import { spawnOwned, type OwnedProcess } from './owned-process.js';

/**
 * Runs a few lines of JavaScript in a process of its own, on our sources without a build: `await import('#jetstream')`
 * works there. For tests in which the one that uses a library has to be killed.
 */
export function spawnSourceProgram(program: string): Promise<OwnedProcess> {
  const root = packageRoot();
  const flags = ['--conditions=development', '--experimental-transform-types', '--disable-warning=ExperimentalWarning'];
  const args = [...flags, '--import', resolver, '--input-type=module', '-e', program];
  return spawnOwned({ command: process.execPath, args, env: hostEnv(), cwd: root });
}

// Imports end in .js while the sources end in .ts; Node alone does not know that they are the same.
const resolver = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module';
  registerHooks({
    resolve(specifier, context, next) {
      const ours = specifier.startsWith('.') && !context.parentURL?.includes('/node_modules/');
      return next(ours ? specifier.replace(/\\.js$/, '.ts') : specifier, context);
    },
  });
`)}`;
