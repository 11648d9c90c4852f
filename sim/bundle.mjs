/**
 * Bundles the simulator, engine included, into .cache/ and says where it is.
 * @module
 */
import { rename } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const simDir = dirname(fileURLToPath(import.meta.url));

/** @returns {Promise<string>} URL of an ES module. */
export async function bundle() {
  const outfile = join(resolve(simDir, ".."), ".cache", "sim.mjs");
  const partial = `${outfile}.${process.pid}`;
  await build({
    entryPoints: [join(simDir, "index.ts")],
    outfile: partial,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    sourcemap: "inline",
    logLevel: "warning",
  });
  await rename(partial, outfile); // never half a file for another run
  return pathToFileURL(outfile).href;
}
