/**
 * The part of the test runner's environment that a started program gets. More would make a test depend on the machine.
 * Only this file of the library reads the environment.
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
