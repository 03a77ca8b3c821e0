const HTTP_DATE = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? .{6,12} \d\d:\d\d:\d\d (GMT|\d{4})$/;

/**
 * Reads a `Retry-After` header: whole seconds or an HTTP date (RFC 9110, 10.2.3). Answers ms from `now`, at least 0, or
 * `undefined` for anything else.
 */
export function readRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  // `Date.parse` also takes plain numbers and many other forms; of an HTTP date the three forms of the standard end here.
  if (!HTTP_DATE.test(text)) return undefined;
  // The oldest form names no zone: it would be read as the time of this host.
  const at = Date.parse(text.endsWith('GMT') ? text : `${text} GMT`);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}
