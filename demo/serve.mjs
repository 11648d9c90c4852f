/** Starts the demo: one HTTP port with the Nearcast server, the demo's pages and the sample origin. */
import { mkdir, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createSampleOrigin } from "./sample-origin.mjs";
import { createDemoSite } from "./site.mjs";

const projectDir = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const ownMediaDir = join(projectDir, "demo", "media");

const HELP = `Usage: npm start -- [options]

  --port N            port to listen on (default 8080; 0 takes a free one)
  --host ADDRESS      address to listen on (default 127.0.0.1, this machine only)
  --media DIR         folder with HLS, MP4 and pictures (default demo/media)
  --origin-rate N     limit of the sample origin in bytes per second, all viewers together
  --origin-delay MS   wait before the first byte of each of the sample origin's answers
  --help              this text

Browsers run service workers only on https and on localhost: on other machines the pages work, but Nearcast stays off
unless you put https in front.`;

/** A command line that cannot be used; the message is all that a user needs to see. */
class UsageError extends Error {}

function wholeNumber(name, text, { fallback, max }) {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > max) {
    throw new UsageError(
      `--${name}: must be a whole number from 0 to ${max}, current value is "${text}"`,
    );
  }
  return value;
}

/** Node explains its own parser at length; a user needs the option and the rule. */
function usageError({ code, message }, names) {
  const given = /'(-[^' ]+)|'([^']+)'/.exec(message);
  const name = given?.[1] ?? given?.[2] ?? "options";
  const rule = {
    ERR_PARSE_ARGS_UNKNOWN_OPTION: `must be one of ${names.map((option) => `--${option}`).join(", ")}`,
    ERR_PARSE_ARGS_INVALID_OPTION_VALUE:
      "must be followed by a value that does not start with a dash",
    ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL: "must follow an option (see --help)",
  }[code];
  return new UsageError(`${name}: ${rule ?? message}`);
}

async function readOptions(args) {
  const text = { type: "string" };
  const known = { port: text, host: text, media: text, "origin-rate": text, "origin-delay": text };
  const options = { ...known, help: { type: "boolean", short: "h" } };
  let values;
  try {
    ({ values } = parseArgs({ args, options }));
  } catch (error) {
    throw usageError(error, Object.keys(options));
  }
  const mediaDir = resolve(values.media ?? ownMediaDir);
  const found = await stat(mediaDir).catch(() => undefined);
  if (!found?.isDirectory()) {
    throw new UsageError(
      `--media: must be a folder that can be read, current value is "${values.media ?? mediaDir}"`,
    );
  }
  return {
    help: values.help === true,
    host: values.host ?? "127.0.0.1",
    port: wholeNumber("port", values.port, { fallback: 8080, max: 65_535 }),
    mediaDir,
    originRateBytesPerS: wholeNumber("origin-rate", values["origin-rate"], {
      fallback: 0,
      max: 1e12,
    }),
    originDelayMs: wholeNumber("origin-delay", values["origin-delay"], {
      fallback: 0,
      max: 600_000,
    }),
  };
}

/** The server must know its own URLs before it listens, so a port of 0 is settled here. */
async function freePort(host) {
  const probe = createServer();
  await new Promise((done, failed) => probe.once("error", failed).listen(0, host, done));
  const { port } = probe.address();
  await new Promise((done) => probe.close(done));
  return port;
}

/** Every name under which a browser may have opened this site. */
function siteUrls(host, port) {
  const names = new Set(["localhost", "127.0.0.1"]);
  if (["0.0.0.0", "::"].includes(host)) {
    for (const { address, family } of Object.values(networkInterfaces()).flat()) {
      if (family === "IPv4") names.add(address);
    }
  } else {
    names.add(host.includes(":") ? `[${host}]` : host);
  }
  return [...names].map((name) => `http://${name}:${port}`);
}

async function loadServer() {
  const built = new URL("../dist/server.js", import.meta.url);
  if (!(await stat(built).catch(() => undefined))) {
    throw new Error(
      'Cannot start the demo as dist/server.js is missing: run "npm start" or "npm run build"',
    );
  }
  return import(built);
}

/**
 * Starts everything on one port.
 *
 * @param port 0 takes a free one.
 * @param originRateBytesPerS 0 is unlimited.
 * @param server More options for the Nearcast server; they win over the demo's own.
 * @returns `origin` is the sample origin (its counts, its throttle); `close()` ends the server.
 */
export async function startDemo({
  host = "127.0.0.1",
  port = 8080,
  mediaDir = ownMediaDir,
  originRateBytesPerS = 0,
  originDelayMs = 0,
  server = {},
} = {}) {
  const { startServer } = await loadServer();
  const origin = createSampleOrigin({
    root: mediaDir,
    rateBytesPerS: originRateBytesPerS,
    delayMs: originDelayMs,
  });
  const chosenPort = port || (await freePort(host));
  const sites = siteUrls(host, chosenPort);
  await mkdir(join(projectDir, ".cache"), { recursive: true });
  const running = await startServer({
    host,
    port: chosenPort,
    sites,
    origins: sites.map((site) => `${site}/media/`),
    root: mediaDir,
    keyFile: join(projectDir, ".cache", "demo-key"),
    onRequest: createDemoSite({ mediaDir, origin }),
    ...server,
  });
  // "localhost" and not the address: its pages and the ones of the printed URL must be the same site to a browser.
  return {
    url: `http://localhost:${chosenPort}`,
    port: chosenPort,
    origin,
    close: () => running.close(),
  };
}

/**
 * Runs the demo from a command line until it is interrupted.
 *
 * @returns The exit code when the demo does not start; `undefined` while it runs.
 */
export async function main(args) {
  try {
    const { help, ...options } = await readOptions(args);
    if (help) {
      console.log(HELP);
      return 0;
    }
    const { url, close } = await startDemo(options).catch((error) => {
      throw asUsageError(error, options);
    });
    console.log(`\nOpen ${url} in two windows, or in two browsers. Ctrl+C stops the demo.\n`);
    for (const signal of ["SIGINT", "SIGTERM"]) {
      process.once(signal, () => Promise.resolve(close()).finally(() => process.exit(0)));
    }
  } catch (error) {
    console.error(error.message);
    return error instanceof UsageError ? 2 : 1;
  }
}

/** An address that cannot be listened on is a choice to be made again, not a fault of the demo. */
function asUsageError(error, { host, port }) {
  const rule = {
    EADDRINUSE: `--port: must be free, current value is ${port}, which another program uses`,
    EACCES: `--port: must be one that this user may open, current value is ${port}`,
    EADDRNOTAVAIL: `--host: must be an address of this machine, current value is "${host}"`,
    ENOTFOUND: `--host: must be an address of this machine, current value is "${host}"`,
    EAI_AGAIN: `--host: must be an address of this machine, current value is "${host}"`,
  }[error.code];
  return rule ? new UsageError(rule) : error;
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2));
}
