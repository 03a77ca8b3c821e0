import { format, resolveConfig } from 'prettier';

/** As `npm run format` would leave it. */
export async function formatFor(file: string, text: string): Promise<string> {
  return format(text, { ...(await resolveConfig(file)), filepath: file });
}
