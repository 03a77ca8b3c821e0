import type { AgentSettings } from './agents/agent-settings.js';
import type { CheckedSettings } from './settings.js';
import type { SharedSettings } from './stored/shared-settings.js';

/** Spellings that decide how agents' messages wait; in resolved settings each agent has the result. */
type Spellings =
  'agents' | 'channels' | 'concurrency' | 'lockScope' | 'onLockConflict' | 'agent' | 'sessions' | 'messages';
/** Resolved settings: `dataDir` is absolute, `agents` contains only real agents, each with its defaults. */
export type Settings = Omit<CheckedSettings, Spellings> & {
  readonly agents: Readonly<Record<string, AgentSettings>>;
  /** The part that the whole installation shares, as it was written in this process' sources. */
  readonly shared: SharedSettings;
};
