import { LanekeeperError, describeProblem, type InputProblem } from '#contracts';

/** Everything that is wrong with the settings at once, so that nobody mends a file one start at a time. */
export class SettingsError extends LanekeeperError {
  constructor(readonly problems: readonly InputProblem[]) {
    const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
    const lines = problems.map((problem) => `\n  - ${describeProblem(problem)}`);
    super('settings_invalid', `the settings have ${count}:${lines.join('')}`);
  }
}
