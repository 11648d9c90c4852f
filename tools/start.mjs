/** What `npm start` runs: makes a fresh clone ready, then starts the demo. Imports packages only after installing them. */
import { ensureBuild } from "./ensure-build.mjs";
import { ensureDependencies } from "./ensure-dependencies.mjs";

const NODE_MAJOR_MIN = 20;

async function start(args) {
  if (Number.parseInt(process.versions.node, 10) < NODE_MAJOR_MIN) {
    throw new Error(
      `Node: must be version ${NODE_MAJOR_MIN} or newer, current value is ${process.versions.node}`,
    );
  }
  ensureDependencies();
  // Asking for help needs no build.
  if (!args.includes("--help") && !args.includes("-h")) ensureBuild();
  const { main } = await import("../demo/serve.mjs");
  return main(args);
}

try {
  process.exitCode = await start(process.argv.slice(2));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
