import { defineConfig } from 'oxlint';

/**
 * The borders of the code base, as rules. Imports point one way through this list; a file's suffix says which technology
 * it may touch, so that a plain `.ts` in lanes or contracts is pure.
 */
const LIBRARIES = [
  'contracts',
  'config',
  'telemetry',
  'jetstream',
  'settings-store',
  'http',
  'lanes',
  'shards',
  'guards',
  'agents',
  'roles',
];
/** These stand side by side: none imports another. */
const SIBLINGS = ['lanes', 'shards', 'guards', 'agents'];
const APPS = ['ingress', 'guard', 'worker', 'cli'];

/**
 * The rooms of a source folder, from the highest to the lowest: a room imports only what stands behind it in its list.
 * `ports` is a file. What stands at the root of the folder (index, role files) imports any of them, and no room imports it.
 */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  'libs/lanes': ['scenarios', 'runner', 'turns', 'records', 'ports', 'lane', 'turn-rules', 'backlog'],
  'apps/worker': ['ownership', 'agents', 'tasks', 'broker'],
};
/** These rooms are to become libraries of their own: they import no other room. */
const FREE_ROOMS: Readonly<Record<string, readonly string[]>> = { 'apps/worker': ['tasks', 'broker'] };

const NEST_SUFFIXES = 'module|controller|provider|filter|decorator|server|indicator|exception|schema';
const NATS_SUFFIXES = 'client|consumer|publisher';

type Ban = { group: string[]; message: string };

const noNest: Ban = {
  group: ['@nestjs/*', 'rxjs', 'rxjs/*'],
  message: `Nest lives in files named *.{${NEST_SUFFIXES.replaceAll('|', ',')}}.ts, main.ts and start-*.ts: domain code knows no framework.`,
};
const noNats: Ban = {
  group: ['@nats-io/*'],
  message: `NATS lives in libs/jetstream and in files named *.{${NATS_SUFFIXES.replaceAll('|', ',')}}.ts: the rest sees our own words.`,
};
const noTesting: Ban = {
  group: ['#testing', 'vitest', 'fast-check'],
  message: 'Test helpers stay out of production code.',
};

/** What stands after a library in the list, and its siblings. */
function beyond(library: string): Ban {
  const later = LIBRARIES.slice(LIBRARIES.indexOf(library) + 1);
  const siblings = SIBLINGS.includes(library) ? SIBLINGS.filter((name) => name !== library) : [];
  return {
    group: [...new Set([...later, ...siblings, ...APPS])].map((name) => `#${name}`),
    message: `libs/${library} stands before these: imports point one way (see "Layout" in README.md).`,
  };
}

/** What a room must not import: the rooms before it, and the files at the root of its folder. */
function outside(folder: string, room: string): Ban {
  const rooms = ROOMS[folder] ?? [];
  const isFree = FREE_ROOMS[folder]?.includes(room) === true;
  const others = isFree ? rooms.filter((name) => name !== room) : rooms.slice(0, rooms.indexOf(room));
  const lower = rooms.filter((name) => name !== room && !others.includes(name));
  return {
    // The last pattern that matches decides, as in a .gitignore.
    group: [
      '../*',
      ...lower.flatMap((name) => [`!../${name}`, `!../${name}.js`]),
      ...others.map((name) => `../${name}/**`),
    ],
    message: `${folder}/src/${room} imports only from: ${[room, ...lower].join(', ')} (see ROOMS in oxlint.config.ts).`,
  };
}

const otherApps: Ban = {
  group: APPS.map((app) => `#${app}`),
  message: 'No app imports an app; only apps/cli composes them.',
};

const noLanes: Ban = {
  group: ['#lanes'],
  message: 'Only the worker runs lanes. What other roles need of them (heads, lane ids, strategies) is in contracts.',
};

function bansOf(app: string): Ban[] {
  return [...(app === 'cli' ? [] : [otherApps]), ...(app === 'worker' ? [] : [noLanes])];
}

/** The rules for the files of one folder, by what their suffix allows. A later entry replaces an earlier one. */
function borders(folder: string, own: Ban[]) {
  const files = (suffixes: string): string[] => suffixes.split('|').map((suffix) => `${folder}/**/*.${suffix}.ts`);
  const rule = (bans: Ban[]) => ({ 'no-restricted-imports': ['error', { patterns: bans }] as const });
  return [
    { files: [`${folder}/**/*.ts`], rules: rule([...own, noNest, noNats, noTesting]) },
    { files: files(NATS_SUFFIXES), rules: rule([...own, noNest, noTesting]) },
    {
      files: [...files(NEST_SUFFIXES), `${folder}/**/main.ts`, `${folder}/**/start-*.ts`],
      rules: rule([...own, noNats, noTesting]),
    },
  ];
}

export default defineConfig({
  plugins: ['typescript', 'import', 'node', 'unicorn', 'oxc', 'promise'],
  categories: { correctness: 'error', suspicious: 'error' },
  ignorePatterns: ['dist', 'node_modules', '.cache', '.lanekeeper'],
  rules: {
    // A file of more than 400 lines is two ideas.
    'max-lines': ['error', { max: 400 }],
    // Types count too: files that know each other only by their types cannot be understood one after the other either.
    'import/no-cycle': ['error', { ignoreTypes: false }],
    // The environment has one reader; elsewhere a setting would have two truths.
    'node/no-process-env': 'error',
    'typescript/consistent-type-imports': 'error',
    'typescript/no-explicit-any': 'error',
    // Providers and modules are classes by Nest's design, also when they hold no state.
    'typescript/no-extraneous-class': 'off',
    // Reading order matters more than the order of definition; TypeScript finds real misuse.
    'no-use-before-define': 'off',
    // Waiting step by step is what most loops here are for.
    'no-await-in-loop': 'off',
    // `import 'reflect-metadata'` is made for its effect.
    'import/no-unassigned-import': 'off',
    'no-underscore-dangle': 'off',
    'no-shadow': 'off',
    // A small function stands where it is used.
    'unicorn/consistent-function-scoping': 'off',
    // A copy is iterated where the loop changes the original.
    'unicorn/no-useless-spread': 'off',
    // fast-check is read as `fc.…` everywhere in its own documentation.
    'import/no-named-as-default-member': 'off',
    // Promises are followed by `then` where nobody awaits them, and transports of Nest end in callbacks.
    'promise/always-return': 'off',
    'promise/no-callback-in-promise': 'off',
  },
  overrides: [
    ...LIBRARIES.flatMap((library) => borders(`libs/${library}`, [beyond(library)])),
    ...APPS.flatMap((app) => borders(`apps/${app}`, bansOf(app))),
    ...Object.entries(ROOMS).flatMap(([folder, rooms]) => {
      const own = folder.startsWith('libs/') ? beyond(folder.slice('libs/'.length)) : otherApps;
      return rooms.flatMap((room) => borders(`${folder}/src/${room}`, [own, outside(folder, room)]));
    }),
    {
      // Nest reads the types of constructor parameters at run time: a type import would erase what it injects.
      files: NEST_SUFFIXES.split('|').map((suffix) => `**/*.${suffix}.ts`),
      rules: { 'typescript/consistent-type-imports': 'off' },
    },
    {
      files: [
        'libs/config/**',
        'deploy/bootstrap/**',
        'docs/examples/**',
        'test/**',
        'libs/testing/**',
        'apps/cli/src/start-up.ts',
        '**/*.spec.ts',
      ],
      rules: { 'node/no-process-env': 'off' },
    },
    {
      files: ['**/*.spec.ts', 'test/**', 'libs/testing/**'],
      rules: {
        'no-restricted-imports': 'off',
        'max-lines': ['error', { max: 600 }],
        'typescript/no-explicit-any': 'off',
      },
    },
    {
      // They belong to specs, and use what specs use.
      files: ['**/*.fixture.ts'],
      rules: { 'no-restricted-imports': 'off' },
    },
  ],
});
