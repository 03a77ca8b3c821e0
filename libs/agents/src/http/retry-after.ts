const SECONDS = /^\d{1,9}(\.\d{1,9})?$/;
const HTTP_DATE = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? .{6,12} \d\d:\d\d:\d\d (GMT|\d{4})$/;

/**
 * Reads a `Retry-After` header: seconds or an HTTP date (RFC 9110, 10.2.3). The standard has whole seconds, but some
 * providers send fractions. Ignoring those would mean to retry too early. Returns ms from `now`, at least 0, or
 * `undefined` for any other form.
 */
export function readRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  if (SECONDS.test(text)) return Math.ceil(Number(text) * 1_000);
  // `Date.parse` also accepts plain numbers and many other forms. Only the three HTTP date forms count.
  if (!HTTP_DATE.test(text)) return undefined;
  // The oldest form has no time zone. `Date.parse` would use the zone of this host.
  const at = Date.parse(text.endsWith('GMT') ? text : `${text} GMT`);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}
