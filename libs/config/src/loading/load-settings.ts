import { resolve } from 'node:path';
import { readEnvironment, type Environment } from './environment.js';
import { SettingsError } from '../settings-error.js';
import { readSettingsFile, type FileLayer } from './settings-file.js';
import { dotted, type SettingPath } from './setting-places.js';
import { checkLayer, mergeLayers, type SettingsLayer } from './settings-layer.js';
import { checkRules } from '../settings-rules.js';
import { resolveAgents } from '../agents/resolve-agents.js';
import { sharedPart } from '../stored/shared-settings.js';
import { settingsSchema, type CheckedSettings, type SettingsInput } from '../settings.js';
import type { Settings } from '../settled-settings.js';

export interface LoadSettingsOptions {
  /** Variables - default: those of this process, which are read nowhere else. */
  readonly env?: Environment;
  /** Folder of `lanekeeper.yaml`, and what relative paths start from - default: the working folder. */
  readonly cwd?: string;
  /** A settings file to use instead of the one from the variable or the folder. */
  readonly file?: string | undefined;
  /** Options of the command line; they override everything. `undefined` inside counts as unset. */
  readonly overrides?: SettingsInput;
}

/** Settings from option > environment > file > default. Throws one `SettingsError` with all problems of all sources. */
export function loadSettings(options: LoadSettingsOptions = {}): Settings {
  const { env = process.env, cwd = process.cwd(), overrides = {} } = options;
  const file = readSettingsFile(env, cwd, options.file);
  const read = [
    ...(options.file === undefined ? [] : [placeFrom(readSettingsFile(env, cwd), file)]),
    ...[file, readEnvironment(env)],
  ];
  const layers: SettingsLayer[] = [...read, { values: overrides, nameOf: dotted, remedy: 'correct the option' }];
  const checked = layers.map(checkLayer);
  const written = mergeLayers(checked.map((layer) => layer.values));
  const settings = settingsSchema.parse(written);
  const problems = [
    ...read.flatMap((layer) => layer.problems),
    ...checked.flatMap((layer) => layer.problems),
    ...checkRules(settings).map(({ path, ...rest }) => ({ field: nameOfSource(layers, path), ...rest })),
  ];
  if (problems.length > 0) throw new SettingsError(problems);
  return { ...settle(settings, cwd), shared: sharedPart(written) };
}

/** Where the installation is. A file with another name, such as `lanekeeper settings show` prints, rarely says it. */
const PLACE: readonly string[] = ['namespace', 'nats', 'dataDir'];

/**
 * The place from the folder's own file, where the other file names none: else its settings would go to another installation.
 */
function placeFrom(own: FileLayer, other: FileLayer): FileLayer {
  const said = (other.values ?? {}) as Record<string, unknown>;
  const mine = Object.entries((own.values ?? {}) as Record<string, unknown>);
  return {
    ...own,
    values: Object.fromEntries(mine.filter(([name]) => PLACE.includes(name) && !Object.hasOwn(said, name))),
  };
}

/** Only what services need is kept: the agents' settings already include these spellings, and must be the only source. */
function settle(settings: CheckedSettings, cwd: string): Omit<Settings, 'shared'> {
  const { channels: _channels, concurrency: _concurrency, lockScope: _lockScope, ...others } = settings;
  const { onLockConflict: _onLockConflict, agent: _agent, sessions: _sessions, messages: _messages, ...rest } = others;
  return { ...rest, dataDir: resolve(cwd, settings.dataDir), agents: resolveAgents(settings) };
}

/** Names a setting after the layer that decided it, so that people correct it in the right place. */
function nameOfSource(layers: readonly SettingsLayer[], path: SettingPath): string {
  const source = layers.findLast((layer) => valueAt(layer.values, path) !== undefined);
  return source?.nameOf(path) ?? dotted(path);
}

function valueAt(values: unknown, path: SettingPath): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], values);
}
