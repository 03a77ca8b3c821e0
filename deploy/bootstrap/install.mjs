// Before the checks of `npm run check`: what is installed is what package-lock.json asks for, from a fresh clone on. npm
// then finds the checkers, and the Node 24 that runs them, in node_modules/.bin.
import { bootstrap, installIfNeeded } from './prepare.mjs';

await bootstrap(async () => {
  await installIfNeeded();
  return 0;
});
