import json5 from 'json5';

/** Comments, strings, punctuation and words. The string patterns use no alternation inside, so that long strings work. */
const TOKEN = /\/\/.*|\/\*[^]*?\*\/|"[^"\\]*(?:\\[^][^"\\]*)*"|'[^'\\]*(?:\\[^][^'\\]*)*'|[{}[\]:,]|[^\s{}[\]:,"'/]+/g;

/**
 * Finds a duplicate key in an object: json5 silently keeps the last one, so half of a configuration could be lost.
 * Accepts only text that json5 has parsed without an error.
 */
export function findDuplicateKey(text: string): { readonly key: string; readonly line: number } | undefined {
  /** Keys of the open objects, innermost last; the set of an array stays empty. */
  const open: Set<string>[] = [];
  let previous = '';
  for (const match of text.matchAll(TOKEN)) {
    const token = match[0];
    if (token.startsWith('//') || token.startsWith('/*')) continue;
    if (token === '{' || token === '[') open.push(new Set());
    else if (token === '}' || token === ']') open.pop();
    // In valid text a colon outside strings and comments always follows a key.
    else if (token === ':') {
      const key = decodeKey(previous);
      const keys = open.at(-1);
      if (keys?.has(key)) return { key, line: text.slice(0, match.index).split(/\r\n|[\n\r]/).length };
      keys?.add(key);
    }
    previous = token;
  }
  return undefined;
}

/** `"a"`, `'a'`, `a` and `\u0061` are the same key. */
function decodeKey(token: string): string {
  return Object.keys(json5.parse<object>(`{${token}:0}`))[0] ?? token;
}
