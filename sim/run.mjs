/**
 * `npm run sim`: bundles the simulator and runs it in a process with room for many viewers.
 * @module
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const HEAP_MAX_MIB = 8_192;
/** What most events leave behind dies within milliseconds: room for it saves copies. */
const YOUNG_MIB = 64;

if (process.env.NEARCAST_SIM_CHILD === "1") {
  const { bundle } = await import("./bundle.mjs");
  const { main } = await import(await bundle());
  process.exitCode = await main(process.argv.slice(2));
} else {
  const args = [
    `--max-old-space-size=${HEAP_MAX_MIB}`,
    `--max-semi-space-size=${YOUNG_MIB}`,
    "--enable-source-maps",
    ...process.execArgv,
  ];
  const child = spawn(
    process.execPath,
    [...args, fileURLToPath(import.meta.url), ...process.argv.slice(2)],
    { stdio: "inherit", env: { ...process.env, NEARCAST_SIM_CHILD: "1" } },
  );
  child.on("close", (code) => {
    process.exitCode = code ?? 1;
  });
}
