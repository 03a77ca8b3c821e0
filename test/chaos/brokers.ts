import { startBroker, startBrokerCluster, type TestBrokerCluster } from '#testing';

/** The node or nodes of the broker. */
export type Brokers = TestBrokerCluster;

export async function startBrokers(nodes: 1 | 3): Promise<Brokers> {
  if (nodes === 3) return startBrokerCluster(nodes);
  const broker = await startBroker();
  return { nodes: [broker], [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose]() };
}
