/**
 * From words to `ServerOptions`: one table says for every flag which option it sets and how it is read;
 * the environment variable `NEARCAST_<FLAG>` and the file of `--config` follow from it.
 * @module
 */
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { NearcastError } from "../core/errors.js";
import type { ServerOptions } from "../signal/index.js";

type Kind = "text" | "list" | "number" | "switch";

interface Flag {
  readonly option: keyof ServerOptions;
  readonly kind: Kind;
  readonly help: string;
}

const FLAGS: Readonly<Record<string, Flag>> = {
  host: { option: "host", kind: "text", help: "address to listen on (127.0.0.1)" },
  port: { option: "port", kind: "number", help: "TCP port, 0 for any (9000)" },
  site: { option: "sites", kind: "list", help: 'page origin that may connect; "*" in development' },
  origin: { option: "origins", kind: "list", help: "origin, with or without path, to attest" },
  root: { option: "root", kind: "text", help: "folder that the first origin serves" },
  "fresh-ms": {
    option: "freshMs",
    kind: "number",
    help: "freshness of files below root (3600000)",
  },
  "key-file": { option: "keyFile", kind: "text", help: "Ed25519 key, created if missing" },
  redis: { option: "redis", kind: "text", help: "Redis that several nodes share, redis://…" },
  ice: { option: "iceServers", kind: "list", help: "stun: or turn: URL for viewers" },
  "turn-url": { option: "turnUrls", kind: "list", help: "turn: or turns: URL of a coturn" },
  "turn-secret": { option: "turnSecret", kind: "text", help: "its static-auth-secret" },
  "turn-ttl-seconds": {
    option: "turnTtlSeconds",
    kind: "number",
    help: "life of TURN credentials (600)",
  },
  "private-origins": {
    option: "privateOrigins",
    kind: "switch",
    help: "names of origins may stand for private addresses (false)",
  },
  lan: { option: "lan", kind: "switch", help: "pass on private ICE candidates (true)" },
  "join-secret": {
    option: "joinSecret",
    kind: "text",
    help: "secret that join tokens are made with",
  },
  "join-key": {
    option: "joinKey",
    kind: "text",
    help: "or the Ed25519 public key of who makes them",
  },
  "require-token": {
    option: "requireToken",
    kind: "switch",
    help: "let nobody join without a token (false)",
  },
  seal: {
    option: "sealed",
    kind: "list",
    help: "pattern of paths that only viewers whose join token names them may share",
  },
  enabled: { option: "enabled", kind: "switch", help: "false: viewers use the origin only (true)" },
  "ramp-percent": {
    option: "rampPercent",
    kind: "number",
    help: "share of viewers that join in (100)",
  },
  "min-version": { option: "minVersion", kind: "text", help: "oldest build that joins in (any)" },
  "stock-clients": {
    option: "stockClients",
    kind: "switch",
    help: "let PeerJS clients that never join call each other (true)",
  },
  "trust-proxy": { option: "trustProxy", kind: "switch", help: "believe X-Forwarded-For (false)" },
  "messages-per-second": {
    option: "messagesPerSecond",
    kind: "number",
    help: "budget of one socket (30)",
  },
  "messages-burst": { option: "messagesBurst", kind: "number", help: "messages at once (60)" },
  "sockets-per-address-max": {
    option: "socketsPerAddressMax",
    kind: "number",
    help: "sockets of one address (64)",
  },
  "connections-per-address-max": {
    option: "connectionsPerAddressMax",
    kind: "number",
    help: "TCP connections of one address (2048)",
  },
  "viewers-per-site-max": {
    option: "viewersPerSiteMax",
    kind: "number",
    help: "sockets of one site (50000)",
  },
  "joins-per-minute-per-address": {
    option: "joinsPerMinutePerAddress",
    kind: "number",
    help: "sockets that one address may open in a minute (240)",
  },
  "joins-per-minute-per-site": {
    option: "joinsPerMinutePerSite",
    kind: "number",
    help: "the same for one site (60000)",
  },
  "wants-per-minute-per-address": {
    option: "wantsPerMinutePerAddress",
    kind: "number",
    help: "attestations asked for by one address in a minute (6000)",
  },
  "wants-per-minute-per-site": {
    option: "wantsPerMinutePerSite",
    kind: "number",
    help: "the same for one site (600000)",
  },
  "attested-bytes-per-minute-per-site": {
    option: "attestedBytesPerMinutePerSite",
    kind: "number",
    help: "bytes read to attest them for one site in a minute (8 GiB)",
  },
  "viewers-max": { option: "viewersMax", kind: "number", help: "sockets in all (50000)" },
  "attested-windows-max": {
    option: "attestedWindowsMax",
    kind: "number",
    help: "attestations in memory (20000)",
  },
  "attest-concurrent-max": {
    option: "attestConcurrentMax",
    kind: "number",
    help: "windows read at the same time (8)",
  },
  "attest-timeout-ms": {
    option: "attestTimeoutMs",
    kind: "number",
    help: "time an origin may take (10000)",
  },
  "ping-interval-ms": {
    option: "pingIntervalMs",
    kind: "number",
    help: "time between pings (25000)",
  },
};

/** What `--help` prints. */
export const USAGE = [
  "Usage: nearcast serve --site https://example.com --origin https://cdn.example.com [flags]",
  "",
  ...Object.entries(FLAGS).map(
    ([name, { kind, help }]) =>
      `  --${name.padEnd(34)} ${help}${kind === "list" ? "; repeatable" : ""}`,
  ),
  `  --${"config".padEnd(34)} JSON file with server options; flags and environment win over it`,
  "",
  "Every flag is also an environment variable: --key-file is NEARCAST_KEY_FILE, lists have commas; an empty one is not set.",
].join("\n");

/**
 * Reads file, environment and flags.
 *
 * @returns Options for `startServer`, which checks their values, or `"help"`.
 * @throws {NearcastError} `config/invalid` for an unknown flag, a malformed value or an unusable file.
 */
export async function optionsFrom(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<ServerOptions | "help"> {
  const flags = parseFlags(args);
  if (flags.has("help")) return "help";
  const file = configFile(flags, env);
  const options: Record<string, unknown> = file === undefined ? {} : await readConfig(file);
  for (const [name, flag] of Object.entries(FLAGS)) {
    const variable = `NEARCAST_${name.toUpperCase().replaceAll("-", "_")}`;
    const fromEnv = variableOf(env, variable);
    const given = flags.get(name);
    if (given) options[flag.option] = parseValue(`--${name}`, flag.kind, given);
    else if (fromEnv !== undefined) {
      options[flag.option] = parseValue(
        variable,
        flag.kind,
        flag.kind === "list" ? fromEnv.split(",") : [fromEnv],
      );
    }
  }
  return { sites: [], ...options };
}

/** The file of `--config`, if one is named. */
export function configFileFrom(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  return configFile(parseFlags(args), env);
}

function configFile(
  flags: ReadonlyMap<string, readonly string[]>,
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  return flags.get("config")?.[0] ?? variableOf(env, "NEARCAST_CONFIG");
}

/** One that is set to nothing, as compose files do it, is not set. */
function variableOf(
  env: Readonly<Record<string, string | undefined>>,
  name: string,
): string | undefined {
  return env[name] === "" ? undefined : env[name];
}

/** Flags as written; `--lan` alone means `--lan=true`, and `--lan false` is `--lan=false`. */
function parseFlags(args: readonly string[]): Map<string, string[]> {
  const isSwitch = (word = "") => word.startsWith("--") && FLAGS[word.slice(2)]?.kind === "switch";
  const isSaid = (at: number) => isSwitch(args[at]) && /^[^-]/.test(args[at + 1] ?? "");
  const written = args.flatMap((word, at) => {
    if (isSaid(at - 1)) return [];
    if (!isSwitch(word)) return [word];
    return [`${word}=${isSaid(at) ? args[at + 1] : "true"}`];
  });
  const names = [...Object.keys(FLAGS), "config"];
  const texts = names.map((name) => [name, { type: "string", multiple: true }] as const);
  try {
    const { values } = parseArgs({
      args: written,
      options: { ...Object.fromEntries(texts), help: { type: "boolean", short: "h" } },
      strict: true,
    });
    return new Map(
      Object.entries(values).map(([name, value]) => [name, [value ?? []].flat().map(String)]),
    );
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new NearcastError("config/invalid", `Cannot read flags: ${message.split(". ")[0]}`);
  }
}

async function readConfig(file: string): Promise<Record<string, unknown>> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    throw new NearcastError("config/invalid", `Cannot read --config "${file}" as JSON`, {
      cause: error,
    });
  }
  if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)) {
    return { ...parsed };
  }
  throw invalid("--config", "must hold a JSON object", file);
}

function parseValue(name: string, kind: Kind, given: readonly string[]): unknown {
  const last = given.at(-1) ?? "";
  if (kind === "list") return given.map((item) => item.trim()).filter((item) => item !== "");
  if (kind === "number") {
    if (/^\d{1,15}$/.test(last)) return Number(last);
    throw invalid(name, "must be a whole number", last);
  }
  if (kind === "switch") {
    if (/^(1|true|0|false)$/.test(last)) return last === "1" || last === "true";
    throw invalid(name, "must be true or false", last);
  }
  return last;
}

function invalid(name: string, rule: string, value: string): NearcastError {
  return new NearcastError(
    "config/invalid",
    `Cannot start server as ${name} ${rule}: current value is "${value}"`,
  );
}
