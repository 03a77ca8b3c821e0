const SECONDS = /^\d{1,9}(\.\d{1,9})?$/;
const HTTP_DATE = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? .{6,12} \d\d:\d\d:\d\d (GMT|\d{4})$/;

/**
 * Reads a `Retry-After` header: seconds or an HTTP date (RFC 9110, 10.2.3). The standard has whole seconds; providers also
 * send fractions, and to pass those over would mean to come back too soon. Answers ms from `now`, at least 0, or `undefined`
 * for anything else.
 */
export function readRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  if (SECONDS.test(text)) return Math.ceil(Number(text) * 1_000);
  // `Date.parse` also takes plain numbers and many other forms; of an HTTP date the three forms of the standard end here.
  if (!HTTP_DATE.test(text)) return undefined;
  // The oldest form names no zone: it would be read as the time of this host.
  const at = Date.parse(text.endsWith('GMT') ? text : `${text} GMT`);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}
