/** Builds dist/ when a source is newer than what was built. Imports no package, so it loads before they are there. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const projectDir = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const SOURCES = ["src", "types", "rollup.config.mjs", "package.json", "package-lock.json"];
/** What the public contract names; a build that was interrupted lacks some of them. */
const OUTPUTS = [
  ...["nearcast.js", "nearcast-playlists.js", "nearcast-sw.js"],
  ...["index.js", "sw.js", "server.js", "cli.js"],
];

function newestMs(path) {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return 0;
  // A folder's own time tells of files that were removed or renamed.
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newestMs(join(path, name))));
}

/** Whether a source is newer than the oldest output, or an output is missing. */
export function buildStale() {
  const built = OUTPUTS.map((name) => join(projectDir, "dist", name));
  if (!built.every((path) => existsSync(path))) return true;
  const oldestMs = Math.min(...built.map((path) => statSync(path).mtimeMs));
  return SOURCES.some((path) => newestMs(join(projectDir, path)) > oldestMs);
}

/**
 * Runs Rollup if the build is stale; says nothing otherwise.
 *
 * @throws {Error} With one line for the user when the build fails.
 */
export function ensureBuild() {
  if (!buildStale()) return;
  console.log("Building dist/ ...");
  const rollup = join(projectDir, "node_modules", "rollup", "dist", "bin", "rollup");
  const { status } = spawnSync(process.execPath, [rollup, "-c", "--silent"], {
    cwd: projectDir,
    stdio: "inherit",
  });
  if (status !== 0)
    throw new Error('Cannot build as "npx rollup -c" failed: see its messages above');
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    ensureBuild();
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
