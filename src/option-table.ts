/**
 * The one table of options: kind, default, bounds and meaning. Checks, `data-` attributes and the table in
 * README.md follow it.
 * @module
 */
import type { NearcastOptions } from "./options.js";

export type OptionName = keyof NearcastOptions;

export interface OptionRow {
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
