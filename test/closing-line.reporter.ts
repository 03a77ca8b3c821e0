import type { SerializedError } from 'vitest';
import type { Reporter, TestModule, TestSuite } from 'vitest/node';

/** Says in one last line how it went: `12 passed, 0 failed`, with `, 1 skipped` if any. A program can read it. */
export class ClosingLineReporter implements Reporter {
  // Stays when the run never comes to its end, as after a failure of the global setup.
  private line = '0 passed, 1 failed';

  onInit(): void {
    // Nothing comes after it there: Vitest's own summary, and its complaints about what keeps it open, are written.
    process.once('exit', () => process.stdout.write(`\n${this.line}\n`));
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const count = { passed: 0, failed: 0, skipped: 0 };
    for (const module of modules) {
      // A file that does not load and a hook that fails have no failed test, but are failures all the same.
      const suites: (TestModule | TestSuite)[] = [module, ...module.children.allSuites()];
      count.failed += suites.filter((suite) => suite.errors().length > 0).length;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        count[state === 'pending' ? 'failed' : state]++;
      }
    }
    count.failed += unhandledErrors.length;
    // Vitest is content when every test was skipped; a run that proves nothing must not look like a success.
    if (count.failed === 0 && count.passed === 0) count.failed = 1;
    if (count.failed > 0) process.exitCode = 1;
    const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : '';
    this.line = `${count.passed} passed, ${count.failed} failed${skipped}`;
  }
}

// Vitest loads a reporter by its file and wants it as the default export.
export { ClosingLineReporter as default };
