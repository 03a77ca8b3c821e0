import { readFileSync } from 'node:fs';

/**
 * Loaded before a service, with `NODE_OPTIONS=--import=…`: its wall clock goes beside that of the machine by as many ms as
 * stand in a file, which may change at any time. Monotonic clocks, and with them timers, stay true. libfaketime (Debian)
 * could do it too, but has to be installed, wraps every clock and wait of the process, and is not seen by nats-server, a
 * static program.
 */
const file = process.env.CHAOS_CLOCK_FILE;
/** A process that was stopped looks before its first word, however short its stop was. */
const LOOK_MS = 20;

const Real = globalThis.Date;
const realNow = Real.now.bind(Real);
let shiftMs = 0;
let lookedAt = Number.NEGATIVE_INFINITY;

function now() {
  const at = performance.now();
  if (at - lookedAt >= LOOK_MS) {
    lookedAt = at;
    shiftMs = Number(readFileSync(file, 'utf8'));
  }
  return realNow() + shiftMs;
}

if (file !== undefined) {
  Real.now = now;
  globalThis.Date = new Proxy(Real, {
    construct: (target, args, made) => Reflect.construct(target, args.length === 0 ? [now()] : args, made),
    apply: () => new Real(now()).toString(),
  });
  Real.prototype.constructor = globalThis.Date;
}
