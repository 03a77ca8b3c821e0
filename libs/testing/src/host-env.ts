/**
 * The little of the test runner's environment that a started program may see. Everything else would make a test depend on
 * whose machine it runs on; the only place of this library that reads it.
 */
export function hostEnv(): NodeJS.ProcessEnv {
  const { PATH, HOME, NATS_SERVER_BIN, REDIS_SERVER_BIN } = process.env;
  return {
    ...(PATH === undefined ? {} : { PATH }),
    ...(HOME === undefined ? {} : { HOME }),
    ...(NATS_SERVER_BIN === undefined ? {} : { NATS_SERVER_BIN }),
    ...(REDIS_SERVER_BIN === undefined ? {} : { REDIS_SERVER_BIN }),
  };
}
