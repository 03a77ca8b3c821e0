/** A key-value bucket is a stream with one subject per key; every NATS client knows it by these names. */
export interface BucketStream {
  readonly stream: string;
  /** The part of a key's subject before the key. */
  readonly prefix: string;
}

export function bucketStream(bucket: string): BucketStream {
  return { stream: `KV_${bucket}`, prefix: `$KV.${bucket}.` };
}
