export { readAgentTargets, type AgentTarget } from './agents/agent-targets.js';
export { readConnection, removeConnection, writeConnection, type Connection } from './addresses/connection-file.js';
export { loadSettings, type LoadSettingsOptions } from './loading/load-settings.js';
export { natsConnectOptions, redactUrl, type NatsConnectOptions } from './addresses/nats-url.js';
export { packageRoot, packageVersion } from './package-root.js';
export { serviceUrl } from './addresses/service-url.js';
export { SettingsError } from './settings-error.js';
export type { AgentSettings } from './agents/agent-settings.js';
export { hostWorkerId, type SettingsInput } from './settings.js';
export type { Settings } from './settled-settings.js';
export { installedSettings, type InstalledSettings } from './stored/installed-settings.js';
export { saysSomething } from './stored/stored-secrets.js';
export { settingDifferences, type SettingDifference } from './stored/settings-differences.js';
export {
  documentOf,
  makeDocument,
  readDocument,
  writeDocument,
  type SettingsDocument,
} from './stored/settings-document.js';
