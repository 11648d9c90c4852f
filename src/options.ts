/**
 * What a site may set, and what becomes of it. Everything is checked before anything starts; inside the SDK
 * only the resolved configuration exists. Defaults and bounds are in `option-table.ts`.
 * @module
 */
import type { PromptTexts } from "./consent-prompt.js";
import { absolutePattern, isUrlPattern, PATTERN_RULE } from "./core/url-pattern.js";
import type { UploadRule } from "./engine/uploads/manners.js";
import type { JoinToken } from "./mesh/signaling/join-token.js";
import {
  invalid,
  listOf,
  resolveBoolean,
  resolveChoice,
  resolveIce,
  resolveKey,
  resolveLink,
  resolveName,
  resolveNumber,
  resolvePath,
  resolveServer,
  resolveText,
  resolveToken,
} from "./option-checks.js";
import { OPTIONS, type OptionName, type OptionRow } from "./option-table.js";
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
  if (typeof options !== "object" || options === null)
    throw invalid("options", "be an object", options);
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(OPTIONS, name)) throw invalid(name, "be a known option", name);
  }
  const siteOrigin = new URL(pageUrl).origin;
  const patterns = (name: "include" | "exclude") =>
    listOf(options[name] ?? OPTIONS[name].default, name).map((pattern) => {
      if (isUrlPattern(pattern)) return absolutePattern(pattern, siteOrigin);
      throw invalid(name, `be ${PATTERN_RULE}`, pattern);
    });
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

/** What cannot be converted stays text, for {@link resolveConfig} to refuse by name and value. */
function parseValue(kind: OptionRow["kind"], text: string): unknown {
  if (kind === "number")
    return text.trim() === "" || Number.isNaN(Number(text)) ? text : Number(text);
  if (kind !== "boolean") return text;
  if (text === "" || text === "true") return true;
  return text === "false" ? false : text;
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
