import type { BrokerConnection } from '#jetstream';

/** How long a publish without a clear answer is repeated before the sender gets a 503. */
export const PATIENCE_MS = 5_000;
const PAUSE_MS = 25;

/** The pause before the next try: until the connection is up, at most until the deadline, and a moment more. */
export async function pauseForBroker(connection: Pick<BrokerConnection, 'whenUp'>, deadline: number): Promise<void> {
  await connection.whenUp(Math.max(0, deadline - performance.now()));
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}
