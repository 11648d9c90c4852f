/**
 * Where the servers of the test run listen. See test/support/wtr-server.mjs.
 * @module
 */

/** Ports on 127.0.0.1; missing while the server's files are not built. */
export interface TestEnvironment {
  /** Index server (`dist/server.js`). */
  readonly serverPort?: number;
  /** Sample origin (`demo/sample-origin.mjs`). */
  readonly originPort?: number;
}

export async function testEnvironment(): Promise<TestEnvironment> {
  const response = await fetch("/__env.json");
  return (await response.json()) as TestEnvironment;
}
