import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { ENGINE_FLAGS } from './engine-flags.js';

it('V8 knows each flag: an unknown one would only print a line on standard error', () => {
  const known = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' });
  for (const flag of ENGINE_FLAGS) {
    const name = flag.replace(/^--(no-)?/, '').replace(/=.*$/, '');
    expect(known).toContain(`--${name} `);
  }
});
