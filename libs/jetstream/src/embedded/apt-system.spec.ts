import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tempDir } from '#testing';
import { aptSystem, archiveUri } from './apt-system.js';

test('recognizes Debian and its derivatives, and nothing else', async () => {
  await using dir = await tempDir('apt');
  const system = async (release: string, arch = 'x64') => {
    await writeFile(join(dir.path, 'os-release'), release);
    return aptSystem('linux', arch, dir.path);
  };
  expect(await system('ID=debian\nVERSION_CODENAME=bookworm\n')).toEqual({ codename: 'bookworm' });
  expect(await system('ID=devuan\nID_LIKE=debian\n', 'arm64')).toEqual({ codename: '' });
  expect(await system('ID=ubuntu\nID_LIKE=debian\n')).toBeUndefined();
  expect(await system('ID=pop\nID_LIKE="ubuntu debian"\n')).toBeUndefined();
  expect(await system('ID=fedora\n')).toBeUndefined();
  expect(await system('ID=debian\n', 's390x')).toBeUndefined();
  expect(await aptSystem('darwin', 'arm64', dir.path)).toBeUndefined();
});

test('takes the mirror of the machine’s own release, in both forms of source files', async () => {
  await using dir = await tempDir('apt');
  const parts = join(dir.path, 'sources.list.d');
  await mkdir(parts);
  await writeFile(join(parts, 'a.list'), 'deb [arch=amd64] http://vendor.test/apt stable main\n');
  await writeFile(
    join(parts, 'debian.sources'),
    'Types: deb\n# a comment\nURIs: http://mirror.test/debian http://other.test\nSuites: bookworm bookworm-updates\n\n' +
      'Types: deb\nURIs: http://mirror.test/security\nSuites: bookworm-security\n',
  );
  expect(await archiveUri('bookworm', dir.path)).toBe('http://mirror.test/debian');
  expect(await archiveUri('unknown', dir.path)).toBe('http://vendor.test/apt');
  await writeFile(
    join(dir.path, 'sources.list'),
    '# deb http://no.test bookworm main\ndeb http://list.test bookworm main\n',
  );
  expect(await archiveUri('bookworm', dir.path)).toBe('http://list.test');
  expect(await archiveUri('bookworm', join(dir.path, 'none'))).toBeUndefined();
});
