/** Senders and agents choose keys, names and errors: a control character in one could rewrite the operator's screen. */
export function printable(value: string | number): string {
  return String(value).replace(/\p{C}/gu, '·');
}
