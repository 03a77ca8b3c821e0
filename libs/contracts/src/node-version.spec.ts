import { expect, it } from 'vitest';
import { nodeProblem } from './node-version.js';

it('Node 24 and newer are accepted', () => {
  for (const version of ['24.0.0', '24.21.0', '26.1.0-nightly', '100.0.0', process.versions.node]) {
    expect(nodeProblem(version)).toBeUndefined();
  }
});

it('an older one is reported, with what to do', () => {
  for (const version of ['20.20.2', '22.22.3', '9.0.0']) {
    expect(nodeProblem(version)).toMatch(new RegExp(`^Node: found ${version}, wanted 24 or newer; run it with`));
  }
});
