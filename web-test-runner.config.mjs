// Tests that need a browser: `npx web-test-runner --group unit` (or `browser`, or both without a group).
import { readdirSync, readFileSync } from "node:fs";
import commonjs from "@rollup/plugin-commonjs";
import { esbuildPlugin } from "@web/dev-server-esbuild";
import { fromRollup } from "@web/dev-server-rollup";
import { defaultReporter } from "@web/test-runner";
import { chromeLauncher } from "@web/test-runner-chrome";
import { plainReporter } from "./test/support/plain-reporter.mjs";
import { nearcastPlugin } from "./test/support/wtr-server.mjs";
import { viewersPlugin } from "./test/support/wtr-viewers.mjs";
import { chromeArgs, ensureChrome } from "./tools/ensure-browser.mjs";

/** As mpd-parser would have to name it. */
const NATIVE_XML = "../../../tools/native-xmldom.mjs";
const { version } = JSON.parse(readFileSync("package.json", "utf8"));

/** web-test-runner stops at a group without files, so an empty folder is no group. */
function group(name) {
  const files = `test/${name}/**/*.test.ts`;
  const names = existing(`test/${name}`);
  return names.some((file) => file.endsWith(".test.ts")) ? [{ name, files }] : [];
}

function existing(folder) {
  try {
    return readdirSync(folder, { recursive: true });
  } catch (error) {
    if (error.code === "ENOENT") return [];
    throw error;
  }
}

export default {
  groups: [...group("unit"), ...group("browser")],
  rootDir: ".",
  nodeResolve: { browser: true, exportConditions: ["browser", "production"] },
  concurrency: 1,
  browsers: [
    chromeLauncher({
      launchOptions: { executablePath: await ensureChrome(), args: chromeArgs() },
    }),
  ],
  plugins: [
    // webrtc-adapter's `sdp` says `module` but is CommonJS inside; without `strictRequires: false`
    // the adapter emits no default export.
    fromRollup(commonjs)({
      include: ["**/node_modules/{sdp,global,http-cache-semantics}/**"],
      strictRequires: false,
    }),
    {
      name: "native-xml",
      resolveImport: ({ source }) => (source === "@xmldom/xmldom" ? NATIVE_XML : undefined),
    },
    esbuildPlugin({
      ts: true,
      js: true, // Workbox reads process.env.NODE_ENV, which `define` must replace
      target: "es2022",
      tsconfig: "tsconfig.test.json",
      define: {
        "process.env.NODE_ENV": JSON.stringify("production"),
        NEARCAST_BUILD: JSON.stringify(version),
      },
    }),
    nearcastPlugin(),
    viewersPlugin(),
  ],
  reporters: [
    defaultReporter({ reportTestProgress: process.stdout.isTTY === true }),
    plainReporter(),
  ],
  // Generous: right after a cold install a busy machine needs half a minute to start the browser.
  browserStartTimeout: 120_000,
  testsStartTimeout: 120_000,
  testsFinishTimeout: 300_000,
  testFramework: { config: { timeout: 60_000 } },
};
