/**
 * The words of `nearcast manifest`, checked before anything is read or written.
 * @module
 */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { NearcastError } from "../core/errors.js";
import { type Header, isHeader } from "../protocol/attestation.js";
import { MANIFEST_FILE } from "../protocol/manifest.js";

const DAY_S = 86_400;

/** What `--help` prints. */
export const USAGE = `Usage: nearcast manifest --new-key FILE                   make a key pair, print its public key
       nearcast manifest --key FILE                       print the public key of a key file
       nearcast manifest DIR --key FILE [flags]           sign the files below DIR

  --base-url URL     where DIR is served; without it the manifest speaks for the folder it is loaded from
  --out FILE         the manifest (DIR/${MANIFEST_FILE}); its parts go into a folder beside it
  --fresh SECONDS    how long viewers use what they read without looking again (3600)
  --expires SECONDS  how long the signature holds (604800: a week)
  --header "N: V"    response header of the files, repeatable: what your origin sends besides content-type
  --watch            go on: sign what is added, replaced or removed, until SIGINT or SIGTERM
  --interval-ms N    time between two looks at DIR with --watch (250)

Playlists (.m3u8, .mpd) and documents (.html) are left out: they always come from the origin. So are names that
begin with a dot, and symbolic links.`;

export type ManifestCommand =
  | { readonly do: "help" }
  | { readonly do: "new-key"; readonly file: string }
  | { readonly do: "show-key"; readonly file: string }
  | ({ readonly do: "sign"; readonly keyFile: string } & SignOptions);

export interface SignOptions {
  /** Absolute. */
  readonly dir: string;
  readonly outFile: string;
  /** Ends with `/`. */
  readonly base: string;
  readonly freshMs: number;
  readonly lifetimeMs: number;
  readonly headers: readonly Header[];
  readonly watch: boolean;
  readonly intervalMs: number;
}

/** @throws {NearcastError} `config/invalid` naming flag, value and rule. */
export async function manifestCommand(args: readonly string[]): Promise<ManifestCommand> {
  const { values, positionals } = parse(args);
  if (values.help) return { do: "help" };
  const [dir, surplus] = positionals;
  if (surplus !== undefined) throw invalid("DIR", "must be one folder", positionals.join(" "));
  const newKey = values["new-key"];
  if (newKey !== undefined) {
    if (dir !== undefined) throw invalid("--new-key", "must stand alone", dir);
    return { do: "new-key", file: resolve(newKey) };
  }
  if (values.key === undefined) throw invalid("--key", "must name a key file", "nothing");
  if (dir === undefined) return { do: "show-key", file: resolve(values.key) };
  const folder = resolve(dir);
  const found = await stat(folder).catch(() => undefined);
  if (!found?.isDirectory()) throw invalid("DIR", "must be a folder", dir);
  const freshMs = 1_000 * count("--fresh", values.fresh, 3_600, { min: 1, max: 365 * DAY_S });
  const expiresS = count("--expires", values.expires, 7 * DAY_S, { min: 60, max: 3_650 * DAY_S });
  return {
    do: "sign",
    keyFile: resolve(values.key),
    dir: folder,
    outFile: resolve(values.out ?? `${folder}/${MANIFEST_FILE}`),
    base: baseOf(values["base-url"]),
    freshMs,
    lifetimeMs: 1_000 * expiresS,
    headers: headersOf(values.header ?? [], freshMs),
    watch: values.watch ?? false,
    intervalMs: count("--interval-ms", values["interval-ms"], 250, { min: 20, max: 60_000 }),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        help: { type: "boolean", short: "h" },
        watch: { type: "boolean" },
        header: { type: "string", multiple: true },
        ...{ key: { type: "string" }, "new-key": { type: "string" }, out: { type: "string" } },
        ...{ "base-url": { type: "string" }, fresh: { type: "string" } },
        ...{ expires: { type: "string" }, "interval-ms": { type: "string" } },
      },
    });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new NearcastError("config/invalid", `Cannot read flags: ${message.split(". ")[0]}`);
  }
}

function baseOf(url: string | undefined): string {
  if (url === undefined) return "./";
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed || !/^https?:$/.test(parsed.protocol)) {
    throw invalid("--base-url", "must be an absolute http(s) URL", url);
  }
  if (parsed.search !== "" || parsed.hash !== "" || !parsed.pathname.endsWith("/")) {
    throw invalid("--base-url", "must end with / and have no query or fragment", url);
  }
  return parsed.href;
}

function count(
  name: string,
  text: string | undefined,
  fallback: number,
  { min, max }: { min: number; max: number },
): number {
  const value = text === undefined ? fallback : /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw invalid(name, `must be an integer from ${min} to ${max}`, text ?? "");
}

/** What the operator names wins over what follows from `--fresh`. */
function headersOf(lines: readonly string[], freshMs: number): Header[] {
  const named = lines.map((line): Header => {
    const at = line.indexOf(":");
    const header: Header = [line.slice(0, at).trim().toLowerCase(), line.slice(at + 1).trim()];
    if (at > 0 && isHeader(header) && header[0] !== "content-type") return header;
    throw invalid("--header", 'must read "name: value", and not be content-type', line);
  });
  const has = (wanted: string) => named.some(([name]) => name === wanted);
  const defaults: Header[] = [
    ["accept-ranges", "bytes"],
    ["cache-control", `public, max-age=${Math.floor(freshMs / 1_000)}`],
  ];
  return [...defaults.filter(([name]) => !has(name)), ...named];
}

function invalid(name: string, rule: string, value: string): NearcastError {
  return new NearcastError(
    "config/invalid",
    `Cannot sign manifest as ${name} ${rule}: current value is "${value}"`,
  );
}
