/** A problem that no single field's check can see; its path tells which setting to name. */
export interface RuleProblem {
  readonly path: readonly [string, ...string[]];
  readonly found: string;
  readonly wanted: string;
  readonly remedy: string;
}
