/**
 * `nearcast manifest`: makes keys, and signs the hashes of a folder once or for as long as it changes.
 * @module
 */
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { NearcastError } from "../core/errors.js";
import { createKey, publicKeyOf, readKey } from "./manifest-key.js";
import { manifestCommand, type SignOptions, USAGE } from "./manifest-options.js";
import { ManifestWriter, type UpdateReport } from "./manifest-writer.js";

/** Sets the exit code 2 for bad input and 1 for what went wrong. */
export async function manifest(args: readonly string[]): Promise<void> {
  try {
    const command = await manifestCommand(args);
    if (command.do === "help") console.log(USAGE);
    else if (command.do === "new-key") console.log(publicKeyOf(await createKey(command.file)));
    else if (command.do === "show-key") console.log(publicKeyOf(await readKey(command.file)));
    else await signFolder(command, command.keyFile);
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = error instanceof NearcastError && error.code === "config/invalid" ? 2 : 1;
  }
}

async function signFolder(options: SignOptions, keyFile: string): Promise<void> {
  const key = await readKey(keyFile);
  const writer = new ManifestWriter({ ...options, key, nowMs: () => Date.now() });
  report(options, await writer.update({ patient: options.watch }));
  if (!options.watch) return;
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  while (!stop.signal.aborted) {
    await delay(options.intervalMs, undefined, { signal: stop.signal }).catch(() => undefined);
    if (stop.signal.aborted) return;
    try {
      const update = await writer.update({ patient: true });
      if (update.written) report(options, update);
    } catch (error) {
      // A full disk or a folder that is away for a moment must not end a live packager's companion.
      console.error(error instanceof Error ? error.message : String(error));
    }
  }
}

function report({ outFile }: SignOptions, { files, hashedBytes, sequence }: UpdateReport): void {
  const count = files === 1 ? "1 file" : `${files} files`;
  console.log(`${outFile}: ${count}, ${hashedBytes} bytes hashed, sequence ${sequence}`);
}
