/** Installs the project's packages when they are missing or older than the lock file. Needs nothing but Node and npm. */
import { spawnSync } from "node:child_process";
import { lstatSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const projectDir = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const changedMs = (path) =>
  statSync(join(projectDir, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** Whether `npm ci` has something to do. npm writes the hidden lock file last, so its time is that of a whole install. */
export function dependenciesMissing() {
  return (
    changedMs("node_modules/.package-lock.json") < changedMs("package-lock.json") ||
    changedMs("node_modules") === 0
  );
}

/**
 * Runs `npm ci` if it has something to do, and shows its output.
 *
 * @throws {Error} With one line for the user when npm fails, or when node_modules is a link into another checkout.
 */
export function ensureDependencies() {
  if (!dependenciesMissing()) return;
  // npm ci empties the folder first, and follows a link to do so: another checkout's packages would be gone.
  if (lstatSync(join(projectDir, "node_modules"), { throwIfNoEntry: false })?.isSymbolicLink()) {
    throw new Error(
      "node_modules: must be a folder of this checkout to be updated, current value is a link elsewhere",
    );
  }
  console.log("Installing packages (npm ci) ...");
  // On Windows npm is a script, which only a shell can start; the arguments are constants.
  const shell = process.platform === "win32";
  const args = ["ci", "--include=dev", "--no-audit", "--no-fund"];
  const { status, error } = spawnSync("npm", args, { cwd: projectDir, stdio: "inherit", shell });
  if (error)
    throw new Error(`Cannot run npm as ${error.message}: install Node 20 or newer with npm`);
  if (status !== 0)
    throw new Error('Cannot install the packages as "npm ci" failed: see its messages above');
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    ensureDependencies();
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
