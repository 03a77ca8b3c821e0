import { LanekeeperError } from '#contracts';
import { readConnection } from './connection-file.js';
import type { Environment } from '../loading/environment.js';
import { loadSettings } from '../loading/load-settings.js';

/** Where operators' commands find Lanekeeper: `LANEKEEPER_URL`, or else the `lanekeeper up` of this folder. */
export function serviceUrl(env: Environment = process.env): string {
  const named = env['LANEKEEPER_URL'];
  if (named !== undefined && named !== '') return checkedUrl(named);
  const found = readConnection(loadSettings({ env }).dataDir)?.httpUrl;
  if (found !== undefined) return found;
  throw new LanekeeperError(
    'no_url',
    'LANEKEEPER_URL: found nothing, and no `lanekeeper up` runs in this folder; set LANEKEEPER_URL to its address, ' +
      'e.g. http://127.0.0.1:7070',
  );
}

function checkedUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return text.replace(/\/+$/, '');
  throw new LanekeeperError(
    'bad_url',
    'LANEKEEPER_URL: found no web address, wanted one such as http://127.0.0.1:7070',
  );
}
