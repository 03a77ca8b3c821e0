import { packageRoot } from '#config';
import { hostEnv } from './host-env.js';
import { spawnOwned, type OwnedProcess } from './owned-process.js';

/**
 * Runs a few lines of JavaScript in their own process, on our sources without a build: `await import('#jetstream')`
 * works there. For tests that must kill the process that uses a library.
 */
export function spawnSourceProgram(program: string, engineFlags: readonly string[] = []): Promise<OwnedProcess> {
  const root = packageRoot();
  const flags = [
    ...engineFlags,
    '--conditions=development',
    '--experimental-transform-types',
    '--disable-warning=ExperimentalWarning',
  ];
  const args = [...flags, '--import', resolver, '--input-type=module', '-e', program];
  return spawnOwned({ command: process.execPath, args, env: hostEnv(), cwd: root });
}

// Imports end in .js and sources in .ts, which Node does not map by itself. Node does not support decorators either:
// sources with decorators are compiled as the build compiles them.
const resolver = `data:text/javascript,${encodeURIComponent(`
  import { readFileSync } from 'node:fs';
  import { createRequire, registerHooks } from 'node:module';
  import { fileURLToPath } from 'node:url';
  const require = createRequire(process.cwd() + '/');
  const compile = (source) => {
    const ts = require('typescript');
    const { config } = ts.readConfigFile('tsconfig.json', ts.sys.readFile);
    const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, '.');
    return ts.transpileModule(source, { compilerOptions: { ...options, sourceMap: false, module: ts.ModuleKind.ESNext } }).outputText;
  };
  registerHooks({
    resolve(specifier, context, next) {
      const ours = specifier.startsWith('.') && !context.parentURL?.includes('/node_modules/');
      return next(ours ? specifier.replace(/\\.js$/, '.ts') : specifier, context);
    },
    load(url, context, next) {
      if (!url.startsWith('file:') || !url.endsWith('.ts')) return next(url, context);
      const source = readFileSync(fileURLToPath(url), 'utf8');
      if (!/^ *@[A-Z]/m.test(source)) return next(url, context);
      return { format: 'module', source: compile(source), shortCircuit: true };
    },
  });
`)}`;
