import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** A Debian machine, whose package archive has a nats-server. */
export interface AptSystem {
  /** e.g. `bookworm`. */
  readonly codename: string;
}

/**
 * `undefined` on every other system (Ubuntu's mirrors have no Debian suites), or when Debian has no nats-server that we know
 * for its processor.
 */
export async function aptSystem(
  platform: NodeJS.Platform,
  arch: string = process.arch,
  etc = '/etc',
): Promise<AptSystem | undefined> {
  if (platform !== 'linux' || (arch !== 'x64' && arch !== 'arm64')) return undefined;
  const release = await readFile(join(etc, 'os-release'), 'utf8').catch(() => '');
  const field = (name: string) => new RegExp(`^${name}="?([^"\n]*)"?$`, 'm').exec(release)?.[1] ?? '';
  const family = [field('ID'), ...field('ID_LIKE').split(' ')];
  const known = family.find((name) => name === 'debian' || name === 'ubuntu');
  return known === 'debian' ? { codename: field('VERSION_CODENAME') } : undefined;
}

/**
 * Where this machine gets its own packages from: a mirror in its own network, often the only one that it can reach.
 * The entry of its own release comes first; other entries are vendors' archives without Debian suites.
 */
export async function archiveUri(codename: string, apt = '/etc/apt'): Promise<string | undefined> {
  const entries: { uri: string; suites: string[] }[] = [];
  for (const file of await sourceFiles(apt)) {
    const text = await readFile(file, 'utf8').catch(() => '');
    entries.push(...(file.endsWith('.sources') ? fromStanzas(text) : fromLines(text)));
  }
  return (entries.find(({ suites }) => suites.includes(codename)) ?? entries[0])?.uri;
}

async function sourceFiles(apt: string): Promise<string[]> {
  const names = await readdir(join(apt, 'sources.list.d')).catch(() => []);
  const parts = names.filter((name) => /\.(sources|list)$/.test(name)).toSorted();
  return [join(apt, 'sources.list'), ...parts.map((name) => join(apt, 'sources.list.d', name))];
}

/** The newer form: stanzas of `Field: values`, with comment lines even inside them. */
function fromStanzas(text: string): { uri: string; suites: string[] }[] {
  return text
    .replace(/^#.*\n?/gm, '')
    .split(/\n\s*\n/)
    .flatMap((stanza) => {
      const values = (name: string) => new RegExp(`^${name}:(.*)$`, 'im').exec(stanza)?.[1]?.trim().split(/\s+/) ?? [];
      const [uri] = values('URIs');
      const enabled = values('Enabled')[0] !== 'no' && values('Types').includes('deb');
      return uri && enabled ? [{ uri, suites: values('Suites') }] : [];
    });
}

/** The older form: `deb [options] uri suite component …`. */
function fromLines(text: string): { uri: string; suites: string[] }[] {
  return [...text.matchAll(/^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)/gm)].map(([, uri = '', suite = '']) => ({
    uri,
    suites: [suite],
  }));
}
