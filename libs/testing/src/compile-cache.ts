import { join } from 'node:path';
import { packageRoot } from '#config';

/**
 * Where the programs that tests start keep what Node has compiled of their sources. Hundreds of them start in one run, and
 * to compile takes a third of each start. What was compiled from other text is not used.
 */
export function compileCache(): NodeJS.ProcessEnv {
  return { NODE_COMPILE_CACHE: join(packageRoot(), '.cache/compiled') };
}
