import type { AgentSettings } from './agents/agent-settings.js';
import type { CheckedSettings } from './settings.js';
import type { SharedSettings } from './stored/shared-settings.js';

/** What decides how agents' messages wait; `agents` says it for each once it is settled. */
type Spellings =
  'agents' | 'channels' | 'concurrency' | 'lockScope' | 'onLockConflict' | 'agent' | 'sessions' | 'messages';
/** Settled settings: `dataDir` is absolute, `agents` holds real agents only, each with its defaults. */
export type Settings = Omit<CheckedSettings, Spellings> & {
  readonly agents: Readonly<Record<string, AgentSettings>>;
  /** What this process was told of what the whole installation acts on, as it was written. */
  readonly shared: SharedSettings;
};
