/** Keys, names and errors are other people's texts: a control character in one could rewrite the operator's screen. */
export function printable(value: string | number): string {
  return String(value).replace(/\p{C}/gu, '·');
}
