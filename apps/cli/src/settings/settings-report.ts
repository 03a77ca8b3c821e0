import Table from 'cli-table3';
import { stringify } from 'yaml';
import type { SettingDifference, SettingsDocument } from '#config';
import { printable } from '../printable.js';

/** The installation's settings as operators read them. */

export function differenceTable(differences: readonly SettingDifference[], before: string, after: string): string {
  const table = new Table({
    head: ['setting', before, after],
    style: { head: [], border: [] },
    wordWrap: true,
    wrapOnWordBoundary: false,
    colWidths: [null, 44, 44],
  });
  for (const { field, before: was, after: is } of differences) table.push([field, was, is].map(printable));
  return table.toString();
}

/** A settings file that says the same, without the secrets. */
export function settingsFile({ settings, secrets, by, at }: SettingsDocument, version: number): string {
  const fields = Object.keys(secrets);
  const head = [
    `version ${version}, put there by ${by} at ${at}`,
    ...(fields.length === 0
      ? []
      : [`secrets, which a push keeps; their values are where each process has them: ${fields.join(', ')}`]),
  ];
  const body = stringify(settings, { lineWidth: 0 }).trimEnd();
  return [...head.map((line) => `# ${printable(line)}`), body].join('\n');
}

export function settingsJson({ settings, secrets, by, at }: SettingsDocument, version: number): string {
  return JSON.stringify({ version, by, at, settings, secrets }, null, 2);
}
