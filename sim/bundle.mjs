/**
 * Bundles the simulator, engine included, into .cache/ and says where it is.
 * @module
 */
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const simDir = dirname(fileURLToPath(import.meta.url));

/** @returns {Promise<string>} URL of an ES module. */
export async function bundle() {
  const outfile = join(resolve(simDir, ".."), ".cache", "sim.mjs");
  await build({
    entryPoints: [join(simDir, "index.ts")],
    outfile,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    sourcemap: true,
    logLevel: "warning",
  });
  return pathToFileURL(outfile).href;
}
