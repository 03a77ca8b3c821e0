import { packageRoot } from '#config';
import { findNatsServer } from '#jetstream';

/**
 * Before any test: the nats-server binary is there. On a fresh machine it is fetched here, once, and not by the first test
 * of every file within that test's timeout. A machine that has none and can get none fails with one message.
 */
export default async function setUp(): Promise<void> {
  await findNatsServer({ env: process.env, packageRoot: packageRoot(), log: console.error });
}
