import type { BrokerConnection } from '#jetstream';

/** How long what got no clear answer is tried again before the sender is told 503. */
export const PATIENCE_MS = 5_000;
const PAUSE_MS = 25;

/** Before the next try: until the connection is up, though not beyond the deadline, and a moment more. */
export async function pauseForBroker(connection: Pick<BrokerConnection, 'whenUp'>, deadline: number): Promise<void> {
  await connection.whenUp(Math.max(0, deadline - performance.now()));
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}
