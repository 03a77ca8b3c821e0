/** A problem that the check of a single field cannot see; its path is the setting to name. */
export interface RuleProblem {
  readonly path: readonly [string, ...string[]];
  readonly found: string;
  readonly wanted: string;
  readonly remedy: string;
}
