/**
 * What a site may set, and the one table of defaults and bounds. Everything is checked before anything
 * starts; inside the SDK only the resolved configuration exists. README.md prints this table.
 * @module
 */
import type { PromptTexts } from "./consent-prompt.js";
import { NearcastError } from "./core/errors.js";
import { absolutePattern } from "./core/url-pattern.js";
import type { UploadRule } from "./engine/manners.js";
import type { JoinToken } from "./mesh/signaling/join-token.js";
import type { IceServer } from "./protocol/signal-messages.js";

/** Whether the mesh may start by itself or only after `nearcast.consent(true)`. */
export type Consent = "auto" | "required";

/** Whether other viewers may see this one's address, or links go over a TURN relay only. */
export type Privacy = "direct" | "relay";

/** Every option is optional. Times are in milliseconds, sizes in bytes; the name says which. */
export interface NearcastOptions {
  /** Server, `wss:`/`https:` (or `ws:`/`http:`). @default The script's own origin, else the page's */
  readonly server?: string;
  /** URL patterns to accelerate, paths or absolute URLs, separated by spaces or as a list. @default "/**" */
  readonly include?: string | readonly string[];
  /** URL patterns never to touch. @default none */
  readonly exclude?: string | readonly string[];
  /** URL of the service worker file on the site's own origin. @default "/nearcast-sw.js" */
  readonly worker?: string;
  /** Scope of the worker. @default The worker's folder */
  readonly scope?: string;
  /** Whether the viewer is asked before the mesh starts. @default "auto" */
  readonly consent?: Consent;
  /** With `consent: "required"`: whether Nearcast asks by itself. @default true */
  readonly consentPrompt?: boolean;
  /** What the prompt says. @default An English sentence */
  readonly consentText?: string;
  /** Label of the button that allows. @default "Allow" */
  readonly consentYes?: string;
  /** Label of the button that refuses. @default "No, thanks" */
  readonly consentNo?: string;
  /** Page that explains more, linked from the prompt. @default none */
  readonly consentLink?: string;
  /** Text of that link. @default "Read more" */
  readonly consentLinkText?: string;
  /** STUN or TURN URLs, separated by spaces or as a list. @default What the server names, usually none */
  readonly ice?: string | readonly string[];
  /** Private addresses of other viewers may be dialled (enterprise networks, test rigs). @default false */
  readonly lan?: boolean;
  /** Permission of the site's backend to join, or a function that gets a fresh one for each join. @default none */
  readonly joinToken?: JoinToken;
  /** URL on the site that answers with a fresh join token as text. @default none */
  readonly tokenUrl?: string;
  /** `relay`: links go over TURN only, so no viewer sees another's address. @default "direct" */
  readonly privacy?: Privacy;
  /** The only key whose attestations count (base64url, raw Ed25519). @default The server's own */
  readonly attestationKey?: string;
  /** URLs of manifests that the publisher signed with `manifestKey`. @default none */
  readonly manifest?: string | readonly string[];
  /** The publisher's key (base64url, raw Ed25519), as `nearcast manifest --new-key` prints it. @default none */
  readonly manifestKey?: string;
  /** Query parameters that only authorise (tokens, expiry), separated by spaces or as a list. @default none */
  readonly stripParams?: string | readonly string[];
  /** Verified pieces kept on disk. @default 536870912 */
  readonly cacheMaxBytes?: number;
  /** Other viewers linked at the same time. @default 20 */
  readonly linksMax?: number;
  /** When the viewer uploads: by the rules for metered lines, batteries and hidden pages. @default "auto" */
  readonly upload?: UploadRule;
  /** Upload cap in bytes per second; 0 for none. @default 0 */
  readonly uploadMaxRate?: number;
  /** Other viewers served at the same time. @default 8 */
  readonly uploadMaxParallel?: number;
  /** Upload cap of one profile and day in bytes; 0 for none. @default 4294967296 */
  readonly uploadDailyMaxBytes?: number;
  /** Time `start()` waits for the worker to take control of the page. @default 2000 */
  readonly controlTimeoutMs?: number;
}

/** Complete, valid and frozen. The rest of the SDK never sees {@link NearcastOptions}. */
export interface NearcastConfig {
  readonly serverUrl: URL;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly workerUrl: string;
  readonly scope: string | undefined;
  readonly consent: Consent;
  /** `undefined`: the site asks. */
  readonly prompt: PromptTexts | undefined;
  readonly iceServers: readonly IceServer[];
  readonly lan: boolean;
  readonly joinToken: JoinToken | undefined;
  readonly tokenUrl: string | undefined;
  readonly privacy: Privacy;
  readonly attestationKey: string | undefined;
  readonly manifestUrls: readonly string[];
  readonly manifestKey: string | undefined;
  readonly stripParams: readonly string[];
  readonly cacheMaxBytes: number;
  readonly linksMax: number;
  readonly upload: UploadRule;
  readonly uploadMaxRate: number;
  readonly uploadMaxParallel: number;
  readonly uploadDailyMaxBytes: number;
  readonly controlTimeoutMs: number;
}

type OptionName = keyof NearcastOptions;

interface OptionRow {
  readonly kind:
    | "url"
    | "urls"
    | "names"
    | "patterns"
    | "path"
    | "choice"
    | "ice"
    | "boolean"
    | "key"
    | "token"
    | "number"
    | "text"
    | "link";
  readonly default: string | number | boolean | undefined;
  /** How README.md writes a default that is not a constant. */
  readonly shown?: string;
  readonly min?: number;
  readonly max?: number;
  readonly choices?: readonly string[];
  readonly meaning: string;
}

const CONSENT_TEXT =
  "Viewers of this site can bring each other its films and pictures. If you allow it, your browser passes on parts of what you load here, and the viewers it is linked with see your IP address.";
const TEXT_MAX_LENGTH = 1_000;

/** The one table of defaults and bounds. */
export const OPTIONS: { readonly [K in OptionName]-?: OptionRow } = {
  server: {
    kind: "url",
    default: undefined,
    shown: "the script's own origin",
    meaning: "Signaling and index server (`wss:` or `https:`)",
  },
  include: {
    kind: "patterns",
    default: "/**",
    meaning: "URLs to accelerate: paths or absolute URLs; `*` within a path segment, `**` anything",
  },
  exclude: { kind: "patterns", default: "", shown: "none", meaning: "URLs never to touch" },
  worker: {
    kind: "path",
    default: "/nearcast-sw.js",
    meaning: "The worker file, on the site's own origin",
  },
  scope: {
    kind: "path",
    default: undefined,
    shown: "the worker's folder",
    meaning: "Scope of the worker",
  },
  consent: {
    kind: "choice",
    default: "auto",
    choices: ["auto", "required"],
    meaning: "`required`: nothing starts before the viewer agrees, see [Consent](#consent)",
  },
  consentPrompt: {
    kind: "boolean",
    default: true,
    meaning: "`false`: the site asks, and calls `nearcast.consent()`",
  },
  consentText: {
    kind: "text",
    default: CONSENT_TEXT,
    shown: "an English sentence",
    meaning: "What the prompt says; up to 1000 characters, as are the next ones",
  },
  consentYes: { kind: "text", default: "Allow", meaning: "Label of the button that allows" },
  consentNo: { kind: "text", default: "No, thanks", meaning: "Label of the button that refuses" },
  consentLink: {
    kind: "link",
    default: undefined,
    shown: "none",
    meaning: "Page that explains more, linked from the prompt",
  },
  consentLinkText: { kind: "text", default: "Read more", meaning: "Text of that link" },
  ice: {
    kind: "ice",
    default: "",
    shown: "what the server names",
    meaning: "STUN or TURN URLs; no third party is ever contacted by default",
  },
  lan: {
    kind: "boolean",
    default: false,
    meaning: "Dial private addresses of other viewers (enterprise networks, test rigs)",
  },
  joinToken: {
    kind: "token",
    default: undefined,
    shown: "none",
    meaning: "Join token of the site's backend, or an (async) function that gets a fresh one",
  },
  tokenUrl: {
    kind: "path",
    default: undefined,
    shown: "none",
    meaning: "URL on the site that answers with a fresh join token as text",
  },
  privacy: {
    kind: "choice",
    default: "direct",
    choices: ["direct", "relay"],
    meaning: "`relay`: links go over TURN only, so no viewer sees another's address",
  },
  attestationKey: {
    kind: "key",
    default: undefined,
    shown: "the server's own",
    meaning: "The only Ed25519 key whose attestations count (base64url)",
  },
  manifest: {
    kind: "urls",
    default: "",
    shown: "none",
    meaning: "URLs of signed manifests",
  },
  manifestKey: {
    kind: "key",
    default: undefined,
    shown: "none",
    meaning: "The key that signs them (base64url)",
  },
  stripParams: {
    kind: "names",
    default: "",
    shown: "none",
    meaning: "Query parameters that only authorise, see [Signed URLs](#signed-urls)",
  },
  cacheMaxBytes: {
    kind: "number",
    default: 512 * 2 ** 20,
    min: 2 ** 20,
    max: 2 ** 40,
    meaning: "Verified pieces kept on disk, in bytes",
  },
  linksMax: {
    kind: "number",
    default: 20,
    min: 1,
    max: 24,
    meaning: "Other viewers linked at the same time",
  },
  upload: {
    kind: "choice",
    default: "auto",
    choices: ["auto", "never", "always"],
    meaning:
      "`auto`: no upload with data saver, on cellular lines, below 20 % battery, or from a page hidden for a minute that plays nothing",
  },
  uploadMaxRate: {
    kind: "number",
    default: 0,
    min: 0,
    max: 2 ** 31,
    meaning: "Upload cap in bytes per second; 0 for none",
  },
  uploadMaxParallel: {
    kind: "number",
    default: 8,
    min: 1,
    max: 16,
    meaning: "Other viewers served at the same time",
  },
  uploadDailyMaxBytes: {
    kind: "number",
    default: 4 * 2 ** 30,
    min: 0,
    max: 2 ** 40,
    meaning: "Upload cap of one profile and day, in bytes; 0 for none",
  },
  controlTimeoutMs: {
    kind: "number",
    default: 2_000,
    min: 0,
    max: 60_000,
    meaning: "Longest wait of `start()` for the worker to control the page",
  },
};

/** Where the page and the script come from; what relative options are relative to. */
export interface Surroundings {
  /** URL of the page. */
  readonly pageUrl: string;
  /** URL of the script, if it is a classic script tag. */
  readonly scriptUrl?: string | undefined;
}

/**
 * Applies defaults and checks everything at once, before anything starts.
 *
 * @throws {NearcastError} `config/invalid` naming option, value and rule.
 */
export function resolveConfig(
  options: NearcastOptions,
  { pageUrl, scriptUrl }: Surroundings,
): NearcastConfig {
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(OPTIONS, name)) throw invalid(name, "be a known option", name);
  }
  const siteOrigin = new URL(pageUrl).origin;
  const patterns = (name: "include" | "exclude") =>
    listOf(options[name] ?? OPTIONS[name].default, name).map((pattern) =>
      absolutePattern(pattern, siteOrigin),
    );
  return Object.freeze({
    serverUrl: resolveServer(options.server ?? new URL(scriptUrl ?? pageUrl).origin),
    include: patterns("include"),
    exclude: patterns("exclude"),
    workerUrl: resolvePath("worker", options.worker ?? "/nearcast-sw.js", pageUrl),
    scope: options.scope === undefined ? undefined : resolvePath("scope", options.scope, pageUrl),
    consent: resolveChoice("consent", options.consent) as Consent,
    prompt: resolvePrompt(options, pageUrl),
    iceServers: listOf(options.ice ?? "", "ice").map(resolveIce),
    lan: resolveBoolean("lan", options.lan),
    joinToken: resolveToken(options.joinToken),
    tokenUrl:
      options.tokenUrl === undefined
        ? undefined
        : resolvePath("tokenUrl", options.tokenUrl, pageUrl),
    privacy: resolveChoice("privacy", options.privacy) as Privacy,
    attestationKey: resolveKey("attestationKey", options.attestationKey),
    ...resolveManifest(options, pageUrl),
    stripParams: listOf(options.stripParams ?? "", "stripParams").map(resolveName),
    cacheMaxBytes: resolveNumber("cacheMaxBytes", options.cacheMaxBytes),
    linksMax: resolveNumber("linksMax", options.linksMax),
    upload: resolveChoice("upload", options.upload) as UploadRule,
    uploadMaxRate: resolveNumber("uploadMaxRate", options.uploadMaxRate),
    uploadMaxParallel: resolveNumber("uploadMaxParallel", options.uploadMaxParallel),
    uploadDailyMaxBytes: resolveNumber("uploadDailyMaxBytes", options.uploadDailyMaxBytes),
    controlTimeoutMs: resolveNumber("controlTimeoutMs", options.controlTimeoutMs),
  });
}

/**
 * Reads options from `data-` attributes: `data-upload-max-rate` is `uploadMaxRate`. Attributes of other
 * libraries are left alone; numbers and booleans are converted, and checked by {@link resolveConfig}.
 */
export function optionsFromData(
  data: Readonly<Record<string, string | undefined>>,
): NearcastOptions {
  const options: Record<string, unknown> = {};
  for (const [name, text] of Object.entries(data)) {
    if (text === undefined || !Object.hasOwn(OPTIONS, name)) continue;
    options[name] = parseValue(OPTIONS[name as OptionName].kind, text);
  }
  return options as NearcastOptions;
}

/** What cannot be converted stays text (or becomes NaN), for {@link resolveConfig} to refuse by name. */
function parseValue(kind: OptionRow["kind"], text: string): unknown {
  if (kind === "number") return text.trim() === "" ? Number.NaN : Number(text);
  if (kind !== "boolean") return text;
  if (text === "" || text === "true") return true;
  return text === "false" ? false : text;
}

function resolveServer(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw invalid("server", "be an absolute URL", text);
  }
  if (["ws:", "wss:", "http:", "https:"].includes(url.protocol)) return url;
  throw invalid("server", "start with wss: or https:", text);
}

function resolvePath(name: "worker" | "scope" | "tokenUrl", text: string, pageUrl: string): string {
  const url = new URL(text, pageUrl);
  if (url.origin === new URL(pageUrl).origin) return url.href;
  throw invalid(name, "be on the site's own origin", text);
}

function resolveChoice(
  name: "consent" | "upload" | "privacy",
  value: unknown = OPTIONS[name].default,
): string {
  const { choices = [] } = OPTIONS[name];
  if (typeof value === "string" && choices.includes(value)) return value;
  throw invalid(name, `be ${choices.map((choice) => `"${choice}"`).join(" or ")}`, value);
}

function resolvePrompt(options: NearcastOptions, pageUrl: string): PromptTexts | undefined {
  const text = (name: "consentText" | "consentYes" | "consentNo" | "consentLinkText") =>
    resolveText(name, options[name] ?? OPTIONS[name].default);
  const texts = {
    text: text("consentText"),
    yes: text("consentYes"),
    no: text("consentNo"),
    link: options.consentLink === undefined ? undefined : resolveLink(options.consentLink, pageUrl),
    linkText: text("consentLinkText"),
    lang: options.consentText === undefined ? "en" : undefined,
  };
  return resolveBoolean("consentPrompt", options.consentPrompt) ? texts : undefined;
}

function resolveText(name: string, value: unknown): string {
  const valid = typeof value === "string" && value.trim() !== "" && value.length <= TEXT_MAX_LENGTH;
  if (valid) return value;
  throw invalid(name, `be a text of 1 to ${TEXT_MAX_LENGTH} characters`, value);
}

function resolveLink(value: unknown, pageUrl: string): string {
  const url = typeof value === "string" && URL.canParse(value, pageUrl) && new URL(value, pageUrl);
  if (url && /^https?:$/.test(url.protocol)) return url.href;
  throw invalid("consentLink", "be the URL of a page", value);
}

function resolveIce(urls: string): IceServer {
  if (/^(stuns?|turns?):/.test(urls)) return { urls };
  throw invalid("ice", "start with stun: or turn:", urls);
}

function resolveName(name: string): string {
  if (/^[\w.~-]{1,64}$/.test(name)) return name;
  throw invalid("stripParams", "be names of query parameters", name);
}

function resolveBoolean(
  name: "lan" | "consentPrompt",
  value: unknown = OPTIONS[name].default,
): boolean {
  if (typeof value === "boolean") return value;
  throw invalid(name, "be true or false", value);
}

function resolveKey(
  name: "attestationKey" | "manifestKey",
  value: string | undefined,
): string | undefined {
  if (value === undefined || /^[A-Za-z0-9_-]{43}$/.test(value)) return value;
  throw invalid(name, "be 43 characters of base64url", value);
}

/** Neither says anything without the other. */
function resolveManifest(
  { manifest, manifestKey }: NearcastOptions,
  pageUrl: string,
): Pick<NearcastConfig, "manifestUrls" | "manifestKey"> {
  const urls = listOf(manifest ?? "", "manifest").map((text) => {
    const url = URL.canParse(text, pageUrl) ? new URL(text, pageUrl) : undefined;
    if (url && /^https?:$/.test(url.protocol)) return url.href;
    throw invalid("manifest", "be http(s) URLs or paths", text);
  });
  const key = resolveKey("manifestKey", manifestKey);
  if (urls.length > 0 && key === undefined) {
    throw invalid("manifestKey", "be set where `manifest` is", manifestKey);
  }
  if (urls.length === 0 && key !== undefined) {
    throw invalid("manifest", "be set where `manifestKey` is", manifest);
  }
  return { manifestUrls: urls, manifestKey: key };
}

function resolveToken(value: unknown): JoinToken | undefined {
  if (value === undefined || typeof value === "function") return value as JoinToken | undefined;
  if (typeof value === "string" && value.startsWith("nc1.")) return value;
  throw invalid("joinToken", "be a join token or a function that gets one", value);
}

type NumberName =
  | "cacheMaxBytes"
  | "linksMax"
  | "uploadMaxRate"
  | "uploadMaxParallel"
  | "uploadDailyMaxBytes"
  | "controlTimeoutMs";

function resolveNumber(name: NumberName, given: unknown): number {
  const { default: fallback, min = 0, max = Number.MAX_SAFE_INTEGER } = OPTIONS[name];
  const value = given ?? fallback;
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) {
    return value as number;
  }
  throw invalid(name, `be an integer from ${min} to ${max}`, value);
}

function listOf(value: unknown, name: string): string[] {
  if (typeof value === "string") return value.split(/\s+/).filter((entry) => entry !== "");
  if (Array.isArray(value) && value.every((entry) => typeof entry === "string")) return value;
  throw invalid(name, "be a string or a list of strings", value);
}

function invalid(name: string, rule: string, value: unknown): NearcastError {
  const shown = typeof value === "string" ? `"${value}"` : String(value);
  return new NearcastError(
    "config/invalid",
    `Cannot start nearcast as \`${name}\` must ${rule}: current value is ${shown}`,
  );
}
