import { closestName, type InputProblem } from '#contracts';
import { LATER_VARIABLES } from './later-settings.js';
import { dotted } from './setting-places.js';
import type { SettingsLayer } from './settings-layer.js';

export type Environment = Readonly<Record<string, string | undefined>>;

export const CONFIG_VARIABLE = 'LANEKEEPER_CONFIG';

const PREFIX = 'LANEKEEPER_';

/** Each variable, the setting that it sets, and whether that is a number. */
const VARIABLES: Readonly<Record<string, { path: readonly string[]; number?: true }>> = {
  LANEKEEPER_HTTP_HOST: { path: ['http', 'host'] },
  LANEKEEPER_HTTP_PORT: { path: ['http', 'port'], number: true },
  LANEKEEPER_DATA_DIR: { path: ['dataDir'] },
  LANEKEEPER_NATS_URL: { path: ['nats', 'url'] },
  LANEKEEPER_NAMESPACE: { path: ['namespace'] },
  LANEKEEPER_WORKER_ID: { path: ['worker', 'id'] },
  LANEKEEPER_WORKER_CAPACITY: { path: ['worker', 'capacity'], number: true },
  LANEKEEPER_WORKER_HEAD_TABLE_BYTES: { path: ['worker', 'headTableBytes'], number: true },
  LANEKEEPER_AGENT_URL: { path: ['agents', 'main', 'url'] },
  LANEKEEPER_AGENT_SECRET: { path: ['agents', 'main', 'secret'] },
  LANEKEEPER_DRAIN_MS: { path: ['drainMs'], number: true },
  LANEKEEPER_LOG_LEVEL: { path: ['log', 'level'] },
};

/** The CLI and the client read these: they are not settings of a service. */
const CLIENT_VARIABLES = ['LANEKEEPER_URL', 'LANEKEEPER_TOKEN'];

const KNOWN = [...Object.keys(VARIABLES), CONFIG_VARIABLE];

/**
 * Kubernetes puts variables like these into every pod for a Service called `lanekeeper` or `lanekeeper-…`. They are not
 * typing mistakes, and refusing them would keep the pod from starting.
 */
const SERVICE_LINK_NAME = /_SERVICE_HOST$|_SERVICE_PORT(_|$)|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/;
const SERVICE_LINK_VALUE = /^(tcp|udp|sctp):\/\//;

export interface EnvironmentLayer extends SettingsLayer {
  readonly problems: InputProblem[];
}

/** Our variables as a layer of settings. An empty variable counts as unset: compose files have no other way to unset one. */
export function readEnvironment(env: Environment): EnvironmentLayer {
  const values: Record<string, unknown> = {};
  const names = new Map<string, string>();
  const problems: InputProblem[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(PREFIX) || value === undefined || value === '') continue;
    const variable = Object.hasOwn(VARIABLES, name) ? VARIABLES[name] : undefined;
    if (variable !== undefined) {
      put(values, variable.path, variable.number && /^\d{1,15}$/.test(value) ? Number(value) : value);
      names.set(dotted(variable.path), name);
    } else if (name !== CONFIG_VARIABLE && !CLIENT_VARIABLES.includes(name) && !isServiceLink(name, value)) {
      problems.push(unknownVariable(name));
    }
  }
  const nameOf: SettingsLayer['nameOf'] = (path) => names.get(dotted(path)) ?? dotted(path);
  return { values, nameOf, remedy: 'correct the variable', problems };
}

function put(values: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [key = '', ...rest] = path;
  if (rest.length === 0) values[key] = value;
  else put((values[key] ??= {}) as Record<string, unknown>, rest, value);
}

function isServiceLink(name: string, value: string): boolean {
  return SERVICE_LINK_NAME.test(name) || (name.endsWith('_PORT') && SERVICE_LINK_VALUE.test(value));
}

function unknownVariable(name: string): InputProblem {
  const field = dotted([name]);
  if (LATER_VARIABLES.includes(name)) {
    return {
      field,
      found: 'a variable of a later version',
      wanted: 'none: not in this version yet',
      remedy: 'unset it',
    };
  }
  // Without the prefix, which would make any two names look similar.
  const bare = (known: string): string => known.slice(PREFIX.length).toLowerCase();
  const close = closestName(bare(name), KNOWN.map(bare));
  const remedy = close === undefined ? 'unset it' : `did you mean ${PREFIX}${close.toUpperCase()}?`;
  return { field, found: 'an unknown variable', wanted: `one of ${KNOWN.join(', ')}`, remedy };
}
