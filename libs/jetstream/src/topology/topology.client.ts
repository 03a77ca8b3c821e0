import { JetStreamApiError, type StreamConfig } from '@nats-io/jetstream';
import type { Logger } from '#telemetry';
import { findStream } from './find-stream.client.js';
import type { BrokerConnection } from '../connection/nats-connection.client.js';
import { isUnanswered, untilJetStreamAnswers } from '../connection/patience.client.js';
import type { StreamSpec } from './topology.js';
import { diffStream } from './topology-diff.js';
import { StreamMismatchError } from './topology-error.js';

/**
 * Makes the broker's streams match the declared ones: creates missing streams, updates what may change, and stops the start
 * with a list of all differences when one cannot be reconciled. Any service may run it, several at the same time too.
 * Waits for a broker that has no leader yet, until `signal` aborts.
 */
export async function applyTopology(
  connection: BrokerConnection,
  specs: readonly StreamSpec[],
  log: Logger,
  signal?: AbortSignal,
): Promise<void> {
  await untilJetStreamAnswers(() => reconcile(connection, specs, log), { log, signal });
}

async function reconcile(connection: BrokerConnection, specs: readonly StreamSpec[], log: Logger): Promise<void> {
  const mismatches = [];
  for (const spec of specs) {
    const live = await findOrCreate(connection, spec, log);
    if (live === undefined) continue;
    const diff = diffStream(spec, { ...live });
    mismatches.push(...diff.mismatches);
    if (diff.mismatches.length === 0 && Object.keys(diff.changes).length > 0) {
      await update(connection, spec, live, diff.changes, log);
    }
  }
  if (mismatches.length > 0) throw new StreamMismatchError(mismatches);
}

async function findOrCreate(
  connection: BrokerConnection,
  spec: StreamSpec,
  log: Logger,
): Promise<StreamConfig | undefined> {
  const found = await findStream(connection, spec.name);
  if (found !== undefined) return found;
  const config = { name: spec.name, description: spec.description, ...spec.fixed, ...spec.adjustable };
  try {
    await connection.jsm.streams.add(config as unknown as StreamConfig);
    log.info({ stream: spec.name }, 'stream created');
    return undefined;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    // Another process created it in between: then it is compared like any other.
    const live = await connection.jsm.streams.info(spec.name).catch((problem: unknown) => {
      if (isUnanswered(problem)) throw problem;
    });
    if (live !== undefined) return live.config;
    throw refusal(spec, 'the stream', config, error);
  }
}

async function update(
  { jsm }: BrokerConnection,
  spec: StreamSpec,
  live: StreamConfig,
  changes: Record<string, unknown>,
  log: Logger,
): Promise<void> {
  try {
    await jsm.streams.update(spec.name, { ...live, ...changes } as Partial<StreamConfig>);
    log.info({ stream: spec.name, fields: Object.keys(changes) }, 'stream updated');
  } catch (error) {
    if (!isRefusal(error)) throw error;
    throw refusal(spec, Object.keys(changes).join(', '), changes, error);
  }
}

/** The broker has read the request and refuses it. */
function isRefusal(error: unknown): error is JetStreamApiError {
  return error instanceof JetStreamApiError && !isUnanswered(error);
}

function refusal(spec: StreamSpec, field: string, wanted: unknown, cause: JetStreamApiError): StreamMismatchError {
  const remedy =
    `the broker refused (${cause.code}: ${cause.message}): change the setting, ` +
    'give the broker what it lacks, or use another namespace (LANEKEEPER_NAMESPACE)';
  return new StreamMismatchError([{ stream: spec.name, field, wanted, found: 'a refusal', remedy }], { cause });
}
