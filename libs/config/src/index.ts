export { readConnection, removeConnection, writeConnection, type Connection } from './connection-file.js';
export { loadSettings, type LoadSettingsOptions } from './load-settings.js';
export { natsConnectOptions, redactUrl, type NatsConnectOptions } from './nats-url.js';
export { packageRoot, packageVersion } from './package-root.js';
export { serviceUrl } from './service-url.js';
export { SettingsError } from './settings-error.js';
export type { AgentSettings } from './agent-settings.js';
export { hostWorkerId, type Settings, type SettingsInput } from './settings.js';
