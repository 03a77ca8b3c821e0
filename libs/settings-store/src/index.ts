export { connectToInstallation } from './connect-to-installation.client.js';
export type { Installation } from './join-installation.client.js';
export { documentFor, putSettings, type PutOutcome } from './put-settings.client.js';
export { readReplaceable, readStored, SettingsStore, type StoredSettings } from './settings-store.client.js';
