import { LanekeeperError } from '#contracts';

export interface StreamMismatch {
  readonly stream: string;
  readonly field: string;
  readonly wanted: unknown;
  readonly found: unknown;
  readonly remedy: string;
}

/** A stream exists, but not as declared, and we may not or cannot change it. */
export class StreamMismatchError extends LanekeeperError {
  constructor(
    readonly mismatches: readonly StreamMismatch[],
    options?: { cause?: unknown },
  ) {
    super(
      'stream_mismatch',
      mismatches
        .map(
          ({ stream, field, wanted, found, remedy }) =>
            `stream ${stream}, ${field}: wanted ${JSON.stringify(wanted)}, found ${JSON.stringify(found)}; ${remedy}`,
        )
        .join('\n'),
      options,
    );
  }
}
