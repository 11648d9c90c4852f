/**
 * `nearcast serve`: options from a file, the environment and flags (the later wins), then the server until
 * a signal ends it.
 * @module
 */
import process from "node:process";
import { NearcastError } from "../core/errors.js";
import { startServer } from "../signal/index.js";
import { optionsFrom, USAGE } from "./serve-options.js";

/** Runs the server; sets the exit code 2 for bad input and 1 for an address that cannot be used. */
export async function serve(args: readonly string[]): Promise<void> {
  try {
    const options = await optionsFrom(args, process.env);
    if (options === "help") {
      console.log(USAGE);
      return;
    }
    const server = await startServer({ ...options, log: (line) => console.error(line) });
    console.log(`nearcast server listens on ${server.url}`);
    await stopSignal();
    await server.close();
    process.exit(0);
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = error instanceof NearcastError ? 2 : 1;
  }
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.once("SIGINT", () => resolve());
    process.once("SIGTERM", () => resolve());
  });
}
