import { readFileSync, statSync } from 'node:fs';
import { extname, resolve } from 'node:path';
import json5 from 'json5';
import { LineCounter, parseDocument } from 'yaml';
import { describeValue, type InputProblem } from '#contracts';
import { CONFIG_VARIABLE, type Environment } from './environment.js';
import { findDuplicateKey } from './json5-duplicates.js';
import { GROUP_NAMES } from '../settings.js';
import { NAMED_GROUPS, dotted, isGroup } from './setting-places.js';
import type { SettingsLayer } from './settings-layer.js';

const DEFAULT_FILE = 'lanekeeper.yaml';
const MAX_FILE_BYTES = 1024 * 1024;

export interface FileLayer extends SettingsLayer {
  readonly problems: InputProblem[];
}

/** What is wrong with a file, without any of its text, since a line may contain a password. */
class FileFault extends Error {
  constructor(
    readonly found: string,
    readonly wanted: string,
    readonly remedy: string,
  ) {
    super(found);
  }
}

/** The settings file as a layer: the given one, or else `LANEKEEPER_CONFIG`, or else `./lanekeeper.yaml`, or else none. */
export function readSettingsFile(env: Environment, cwd: string, given?: string): FileLayer {
  const named = given ?? (env[CONFIG_VARIABLE] || undefined);
  const path = resolve(cwd, named ?? DEFAULT_FILE);
  const layer = { nameOf: dotted, remedy: `correct it in ${path}` };
  try {
    return { ...layer, values: parseFile(path, named !== undefined), problems: [] };
  } catch (error) {
    if (!(error instanceof FileFault)) throw error;
    const { found, wanted, remedy } = error;
    const field = named === undefined || given !== undefined ? path : `${CONFIG_VARIABLE} (${path})`;
    return { ...layer, values: {}, problems: [{ field, found, wanted, remedy }] };
  }
}

function parseFile(path: string, isNamed: boolean): unknown {
  const text = readText(path, isNamed);
  if (text === undefined) return {};
  const values = parserFor(path)(text);
  // An empty file, or one with only comments, is a file without settings.
  if (values === null) return {};
  if (isGroup(values)) return withoutEmptyGroups(values);
  throw new FileFault(
    describeValue(values),
    'names with values at the top',
    'write e.g. "http:" and below it "  port: 7070"',
  );
}

function readText(path: string, isNamed: boolean): string | undefined {
  let bytes: Buffer;
  try {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats === undefined && !isNamed) return undefined;
    if (stats === undefined) throw new FileFault('no such file', 'an existing file', 'correct the path, or name none');
    // Checked before it is opened: opening a pipe would wait for a writer.
    if (!stats.isFile()) throw new FileFault('something that is no file', 'a file', 'name a YAML or JSON5 file');
    if (stats.size > MAX_FILE_BYTES) throw new FileFault(`${stats.size} bytes`, 'at most 1 MiB', 'shorten the file');
    bytes = readFileSync(path);
  } catch (error) {
    if (error instanceof FileFault) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new FileFault(`an unreadable file (${code})`, 'a readable file', 'correct its path and permissions');
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new FileFault('bytes that are not UTF-8', 'UTF-8 text', 'save the file as UTF-8');
  }
}

function parserFor(path: string): (text: string) => unknown {
  const extension = extname(path).toLowerCase();
  if (extension === '.yaml' || extension === '.yml') return parseYaml;
  if (extension === '.json' || extension === '.json5') return parseJson5;
  const found = extension === '' ? 'a name without an ending' : 'another ending';
  throw new FileFault(found, 'a file name that ends in .yaml, .yml, .json or .json5', 'rename the file');
}

function parseYaml(text: string): unknown {
  const lines = new LineCounter();
  // Pretty messages quote the file, and warnings would print parts of it. (The level silent would hide a second document.)
  const document = parseDocument(text, { prettyErrors: false, lineCounter: lines, logLevel: 'error' });
  const fault = document.errors[0] ?? document.warnings[0];
  if (fault !== undefined) {
    const { line } = lines.linePos(fault.pos[0]);
    if (fault.code === 'DUPLICATE_KEY') throw duplicateKey(line);
    throw brokenSyntax('YAML', line, ` (${fault.code.toLowerCase().replaceAll('_', ' ')})`);
  }
  try {
    return document.toJS();
  } catch {
    throw new FileFault('an alias that is not set or that unfolds without end', 'plain YAML', 'write the value out');
  }
}

function parseJson5(text: string): unknown {
  // json5 requires a value; for us a file without one has no settings, as in YAML.
  if (text.trim() === '') return null;
  let values: unknown;
  try {
    values = json5.parse(text);
  } catch (error) {
    throw brokenSyntax('JSON5', (error as { lineNumber?: number }).lineNumber ?? 1, '');
  }
  const duplicate = findDuplicateKey(text);
  if (duplicate !== undefined) throw duplicateKey(duplicate.line);
  return values;
}

function brokenSyntax(language: string, line: number, detail: string): FileFault {
  return new FileFault(
    `broken ${language} in line ${line}${detail}`,
    `valid ${language}`,
    `correct line ${line} or the one before`,
  );
}

function duplicateKey(line: number): FileFault {
  return new FileFault(`a key in line ${line} that its group already has`, 'each key once', 'remove one of the two');
}

/** A heading whose lines are all commented out is read as null; it means a group without settings. */
function withoutEmptyGroups(values: Record<string, unknown>): Record<string, unknown> {
  const filled = { ...values };
  for (const name of GROUP_NAMES) if (filled[name] === null) filled[name] = {};
  for (const record of NAMED_GROUPS) {
    const named = filled[record];
    if (!isGroup(named)) continue;
    filled[record] = Object.fromEntries(Object.entries(named).map(([name, own]) => [name, own ?? {}]));
  }
  return filled;
}
