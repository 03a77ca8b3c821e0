// What the programs of the peers share: the same messages as Lanekeeper gets, fed in the same way.

/** One clock for all processes of the machine, in milliseconds. */
export function nowMs() {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function payloadOf(i) {
  return { id: `m${i}`, text: `message number ${i} of the bench, of a usual length`, thread: `t${i}` };
}

/** Each of the warm-up has a session of its own; the others take theirs in turn. */
export function warmupSessionOf(i) {
  return `warm-${i}`;
}

export function sessionsInTurn(sessions) {
  return (i) => `session-${i % sessions}`;
}

/** Sends `count` messages, `atOnce` of them at a time on their way. Lanekeeper's bench feeds 256. */
export async function feed(count, sessionOf, send, atOnce = 256) {
  let next = 0;
  const feeder = async () => {
    while (next < count) {
      const i = next++;
      await send(sessionOf(i), payloadOf(i), i);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, feeder));
}
