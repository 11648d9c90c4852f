/**
 * `nearcast doctor URL`: looks at an integration from outside, as a browser and the server would, and says
 * what is wrong and what to do about it.
 * @module
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { freshnessOf } from "../signal/attest/asset-rules.js";
import { probeServer } from "../signal/probe.js";

const USAGE = `Usage: nearcast doctor https://example.com/page [flags]

  --server URL   the server, if the page has no script tag that names it
  --worker PATH  the worker file, if the page does not name it (/nearcast-sw.js)
  --asset URL    a film, picture or file of the site, to see whether it would be shared`;

const TIMEOUT_MS = 10_000;
const RANGE = "bytes=0-1023";

type Verdict = "ok" | "warn" | "FAIL";
type Say = (verdict: Verdict, what: string, advice?: string) => void;

interface Integration {
  readonly page: URL;
  readonly server: URL;
  readonly worker: URL;
  readonly scope: string | undefined;
}

/** Prints a line for each check; sets the exit code 1 if one failed and 2 for bad input. */
export async function doctor(args: readonly string[]): Promise<void> {
  const { values, address, wrong } = readArguments(args);
  if (values.help) {
    console.log(USAGE);
    return;
  }
  if (address === undefined) {
    console.error(`${wrong}\n\n${USAGE}`);
    process.exitCode = 2;
    return;
  }
  const say: Say = (verdict, what, advice) => {
    if (verdict === "FAIL") process.exitCode = 1;
    console.log(`${verdict.padEnd(5)}${what}${advice === undefined ? "" : `\n     ${advice}`}`);
  };
  const integration = await readPage(address, values, say);
  if (!integration) return;
  await checkWorker(integration, say);
  const asset = values.asset === undefined ? undefined : new URL(values.asset, address.href);
  await checkServer(integration, asset?.href, say);
  if (asset) await checkAsset(integration.page, asset, say);
}

/** @returns No address, and what is wrong, if they cannot be used. */
function readArguments(args: readonly string[]) {
  const options = {
    server: { type: "string" },
    worker: { type: "string" },
    asset: { type: "string" },
    help: { type: "boolean", short: "h" },
  } as const;
  const invalid = (name: string, rule: string, value: string) =>
    `Cannot look as ${name} must be ${rule}: current value is "${value}"`;
  try {
    const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options });
    const [text = "", surplus] = positionals;
    if (surplus !== undefined || !URL.canParse(text) || !isHttp(new URL(text))) {
      return { values, wrong: invalid("the page", "one http(s) URL", positionals.join(" ")) };
    }
    const address = new URL(text);
    for (const name of ["server", "worker", "asset"] as const) {
      const value = values[name];
      if (value === undefined || URL.canParse(value, address.href)) continue;
      return { values, wrong: invalid(`--${name}`, "a URL", value) };
    }
    return { values, address };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { values: {}, wrong: `Cannot read flags: ${message.split(". ")[0]}` };
  }
}

const isHttp = ({ protocol }: URL) => /^https?:$/.test(protocol);

/** Reads the script tag; its attributes win over nothing but the defaults. */
async function readPage(
  page: URL,
  given: { server?: string | undefined; worker?: string | undefined },
  say: Say,
): Promise<Integration | undefined> {
  const response = await get(page);
  if (!(response instanceof Response) || !response.ok) {
    say("FAIL", `the page cannot be read: ${problemOf(response)}`);
    return undefined;
  }
  const html = await response.text();
  const [tag] = html.match(/<script\b[^>]*\bnearcast(?:\.min)?\.js\b[^>]*>/i) ?? [];
  if (tag) say("ok", "the page has the script tag");
  else say("warn", "the page has no script tag", "that is right if it imports the module");
  const attribute = (name: string) =>
    tag && new RegExp(`\\b${name}=["']?([^"'\\s>]+)`, "i").exec(tag)?.[1];
  if (page.protocol !== "https:" && !/^(localhost|127\.|\[::1\])/.test(page.hostname)) {
    say("FAIL", "the page is not secure", "service workers and WebRTC need https");
  }
  const script = new URL(attribute("src") ?? "/", page);
  const server = new URL(given.server ?? attribute("data-server") ?? script.origin, page);
  if (!server.pathname.endsWith("/")) server.pathname += "/";
  const worker = new URL(given.worker ?? attribute("data-worker") ?? "/nearcast-sw.js", page);
  return { page, server, worker, scope: attribute("data-scope") };
}

async function checkWorker({ page, worker, scope }: Integration, say: Say): Promise<void> {
  const name = `the worker file ${worker.pathname}`;
  if (worker.origin !== page.origin) {
    say("FAIL", `${name} is on another origin`, "serve it from the site's own");
    return;
  }
  const response = await get(worker, { "service-worker": "script" });
  if (!(response instanceof Response) || !response.ok) {
    say("FAIL", `${name} cannot be read: ${problemOf(response)}`, "copy dist/nearcast-sw.js there");
    return;
  }
  const type = response.headers.get("content-type") ?? "";
  if (!/^(text|application)\/(x-)?javascript\b/.test(type)) {
    say("FAIL", `${name} has the type "${type}"`, "serve it as text/javascript");
    return;
  }
  if (!/nearcast/.test(await response.text())) {
    say("warn", `${name} does not look like Nearcast's`, "right if it attaches nearcast/sw");
  }
  const folder = new URL(".", worker).pathname;
  const wanted = new URL(scope ?? ".", worker).pathname;
  const allowed = response.headers.get("service-worker-allowed") ?? folder;
  if (!wanted.startsWith(allowed)) {
    say("FAIL", `scope ${wanted} is above ${allowed}`, `send Service-Worker-Allowed: ${wanted}`);
  } else if (page.pathname.startsWith(wanted)) say("ok", `${name} can control the page`);
  else say("FAIL", `the page is outside the scope ${wanted}`, "serve the worker higher up");
  const maxAge = Number(
    /max-age=(\d+)/.exec(response.headers.get("cache-control") ?? "")?.[1] ?? 0,
  );
  if (maxAge > 86_400) {
    say(
      "warn",
      `${name} may be cached for ${maxAge} s`,
      "Cache-Control: no-cache lets updates through",
    );
  }
}

async function checkServer(
  { page, server }: Integration,
  assetUrl: string | undefined,
  say: Say,
): Promise<void> {
  const health = new URL("healthz", server);
  health.protocol = health.protocol.replace("ws", "http");
  const response = await get(health);
  if (!(response instanceof Response) || !response.ok) {
    say("FAIL", `the server does not answer at ${health.href}: ${problemOf(response)}`);
    return;
  }
  if (page.protocol === "https:" && /^(ws|http):$/.test(server.protocol)) {
    say("FAIL", "the server is not secure", "a page on https reaches wss: only");
  }
  const probe = await probeServer({
    ...{ serverUrl: server, siteOrigin: page.origin, assetUrl, timeoutMs: TIMEOUT_MS },
  });
  if ("failed" in probe) {
    const advice = {
      id: `start it with --site ${page.origin}`,
      socket: "let the proxy pass WebSockets on /peerjs",
      join: "with --require-token the page needs data-token-url",
    };
    say(
      "FAIL",
      `the server lets pages of ${page.origin} not in: ${probe.reason}`,
      advice[probe.failed],
    );
    return;
  }
  say("ok", `the server lets pages of ${page.origin} in`);
  if (probe.attested) say("ok", "the server attests the asset");
  if (probe.attested === false)
    say("FAIL", `the server does not attest the asset: ${probe.reason}`);
}

/** What the origin sends to a page, and whether that may be shared. */
async function checkAsset(page: URL, asset: URL, say: Say): Promise<void> {
  const crossOrigin = asset.origin !== page.origin;
  const response = await get(asset, { range: RANGE, origin: page.origin });
  if (!(response instanceof Response)) {
    say("FAIL", `the asset cannot be read: ${problemOf(response)}`);
    return;
  }
  const headers = [...response.headers] as [string, string][];
  await response.body?.cancel();
  if (response.status === 206) say("ok", "the origin answers ranges");
  else
    say(
      "warn",
      `the origin answers ${response.status} to a range`,
      "files above 4 MiB need ranges",
    );
  try {
    const freshMs = freshnessOf({
      ...{ status: response.status, headers, siteOrigin: page.origin, crossOrigin },
    });
    say("ok", `the answer may be shared for ${Math.round(freshMs / 1_000)} s`);
  } catch (error) {
    const advice =
      "see the README, what is shared and what never is (with --root freshness is set by the server)";
    say("warn", `the answer as such may not be shared: ${(error as Error).message}`, advice);
  }
  const etag = response.headers.get("etag");
  if (!etag?.startsWith('"') && !response.headers.has("last-modified")) {
    say("warn", "the answer has no strong ETag and no Last-Modified", "files above 4 MiB need one");
  }
}

async function get(url: URL, headers: Record<string, string> = {}): Promise<Response | Error> {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    return await fetch(url, { headers: { "accept-encoding": "identity", ...headers }, signal });
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function problemOf(answer: Response | Error): string {
  if (answer instanceof Response) return `status ${answer.status}`;
  return answer.cause instanceof Error ? answer.cause.message : answer.message;
}
