import { expect, it } from 'vitest';
import { loadSettings } from '#config';
import { reachableAgents } from './reachable-agents.js';

const { agents } = loadSettings({
  env: {},
  cwd: '/',
  overrides: {
    agents: {
      main: { url: 'http://u:pw@h/' },
      keyed: { url: 'http://h/', headers: { 'x-key': { env: 'LK_SPEC_SET_NOWHERE' } } },
    },
  },
});

it('an agent whose header variable is not set here is the only one that this worker cannot run', () => {
  const { agents: reachable, targets } = reachableAgents(agents, () => false);
  expect(reachable['keyed']).toMatchObject({ lacks: 'agents.keyed.headers.x-key' });
  expect(reachable['main']).toBe(agents['main']);
  expect([...targets.keys()]).toEqual(['main']);
});

it("such an agent in the process's own settings stops its start", () => {
  expect(() => reachableAgents(agents, (name) => name === 'keyed')).toThrow(/agents\.keyed\.headers\.x-key: .*LK_SPEC/);
});

it('an agent that lacks a secret is not checked further', () => {
  const lacking = { keyed: { ...agents['keyed'], lacks: 'agents.keyed.secret' } } as typeof agents;
  const { agents: reachable, targets } = reachableAgents(lacking, () => true);
  expect(reachable['keyed']).toMatchObject({ lacks: 'agents.keyed.secret' });
  expect(targets.size).toBe(0);
});
