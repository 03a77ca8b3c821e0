// `npm run chaos`: faults of every kind under load, and a check of what came of it, from a fresh clone on. Arguments
// after `--` go to it: `npm run chaos -- --minutes 1 --seed 7`.
import { bootstrap, buildIfNeeded, installIfNeeded, runNode24 } from './prepare.mjs';

await bootstrap(async () => {
  await installIfNeeded();
  await buildIfNeeded();
  const code = await runNode24(['node_modules/.bin/tsc', '-p', 'test/chaos/tsconfig.json']);
  if (code !== 0) return code;
  return runNode24(['--enable-source-maps', 'dist/test/chaos/chaos.js', ...process.argv.slice(2)]);
});
