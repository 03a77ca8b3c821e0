/** A key-value bucket is a stream with a subject per key; every client of the server knows it by these names. */
export interface BucketStream {
  readonly stream: string;
  /** Of a key's subject: what stands before the key. */
  readonly prefix: string;
}

export function bucketStream(bucket: string): BucketStream {
  return { stream: `KV_${bucket}`, prefix: `$KV.${bucket}.` };
}
