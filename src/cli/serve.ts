/**
 * `nearcast serve`: options from a file, the environment and flags (the later wins), then the server until
 * a signal ends it. When the file changes, or on SIGHUP, the settings of the sites are read again.
 * @module
 */
import { unwatchFile, watchFile } from "node:fs";
import process from "node:process";
import { NearcastError } from "../core/errors.js";
import { type NearcastServer, startServer } from "../signal/index.js";
import { configFileFrom, optionsFrom, USAGE } from "./serve-options.js";

/** How often the file is looked at: polling sees what replaces it, on any file system. */
const WATCH_INTERVAL_MS = 1_000;

const log = (line: string) => console.error(line);

/** Runs the server; sets the exit code 2 for bad input, an address that cannot be used included, else 1. */
export async function serve(args: readonly string[]): Promise<void> {
  try {
    const options = await optionsFrom(args, process.env);
    if (options === "help") {
      console.log(USAGE);
      return;
    }
    const server = await startServer({ ...options, log }).catch((error: unknown) => {
      throw asInvalid(error);
    });
    console.log(`nearcast server listens on ${server.url}`);
    const file = configFileFrom(args, process.env);
    const reload = () => void reconfigure(server, args);
    process.on("SIGHUP", reload);
    if (file !== undefined) watchFile(file, { interval: WATCH_INTERVAL_MS }, reload);
    await stopSignal();
    if (file !== undefined) unwatchFile(file, reload);
    await server.close();
    process.exit(0);
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = error instanceof NearcastError ? 2 : 1;
  }
}

/** An address that cannot be listened on is a choice to be made again. */
function asInvalid(error: unknown): unknown {
  const {
    code = "",
    port,
    address,
    hostname,
  } = error as NodeJS.ErrnoException & {
    readonly [name in "port" | "address" | "hostname"]?: string | number;
  };
  const host = `--host must be an address of this machine: current value is "${address ?? hostname}"`;
  const rule = {
    EADDRINUSE: `--port must be free on ${address}: current value is ${port}, which another program uses`,
    EACCES: `--port must be one that this user may open: current value is ${port}`,
    EADDRNOTAVAIL: host,
    ENOTFOUND: host,
    EAI_AGAIN: host,
  }[code];
  if (rule === undefined) return error;
  return new NearcastError("config/invalid", `Cannot start server as ${rule}`, { cause: error });
}

/** A file that is wrong, or half written, changes nothing. */
async function reconfigure(server: NearcastServer, args: readonly string[]): Promise<void> {
  try {
    const options = await optionsFrom(args, process.env);
    if (options === "help") return;
    server.configure(options);
    log("the settings of the sites were read again");
  } catch (error) {
    log(`kept the old settings: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.once("SIGINT", () => resolve());
    process.once("SIGTERM", () => resolve());
  });
}
