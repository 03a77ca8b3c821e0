import { LanekeeperError, describeProblem, type InputProblem } from '#contracts';

/** All problems of the settings at once, so that a file need not be fixed one start at a time. */
export class SettingsError extends LanekeeperError {
  /** `heading` says whose settings they are - default: those of this process. */
  constructor(
    readonly problems: readonly InputProblem[],
    heading = `the settings have ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}`,
  ) {
    const lines = problems.map((problem) => `\n  - ${describeProblem(problem)}`);
    super('settings_invalid', `${heading}:${lines.join('')}`);
  }
}
