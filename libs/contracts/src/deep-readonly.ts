/** A value that its readers must not change, to the last level. Schemas of zod give types that may be changed. */
export type DeepReadonly<T> = T extends object ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> } : T;
