/**
 * Prints the counts of a web-test-runner run in one line that test/run.mjs can read. A file that fails
 * to load, or that holds no test, counts as one failure.
 * @module
 */

/** @returns A reporter for `reporters` of the web-test-runner configuration. */
export function plainReporter() {
  return {
    onTestRunFinished({ sessions }) {
      const all = sessions.map(countsOf);
      const passed = all.reduce((sum, counts) => sum + counts.passed, 0);
      const failed = all.reduce((sum, counts) => sum + counts.failed, 0);
      console.log(`web-test-runner: ${passed} passed, ${failed} failed`);
    },
  };
}

function countsOf({ testResults, errors, passed: sessionPassed }) {
  const tests = testResults === undefined ? [] : testsOf(testResults).filter((t) => !t.skipped);
  const passed = tests.filter((t) => t.passed).length;
  const failed = tests.length - passed;
  const broken = failed === 0 && (tests.length === 0 || errors.length > 0 || !sessionPassed);
  return { passed, failed: failed + (broken ? 1 : 0) };
}

function testsOf({ tests, suites }) {
  return [...tests, ...suites.flatMap(testsOf)];
}
