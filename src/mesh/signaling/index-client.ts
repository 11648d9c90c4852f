/**
 * The viewer's side of the index: asks, announces and tells over PeerJS's own socket. The server forgets
 * everything when the socket closes, and PeerJS drops what is sent while it is down, so this client keeps
 * its own state and says all of it again on every open.
 * @module
 */
import { NearcastError } from "../../core/errors.js";
import type { Attestation } from "../../protocol/attestation.js";
import { GROUPS_MAX, PROTOCOL_VERSION } from "../../protocol/limits.js";
import { decodeServerMessage } from "../../protocol/signal-decoder.js";
import type {
  HeldWindows,
  JoinedMessage,
  Neighbourhood,
  RemoteConfig,
  ServerMessage,
  StatsMessage,
  ViewerMessage,
  WantedMessage,
} from "../../protocol/signal-messages.js";
import { Announcement, fitting } from "./announcement.js";
import { GroupWeights } from "./group-weights.js";
import { ANSWER_TIMEOUT_MS, type Answer, Questions } from "./questions.js";

export interface IndexHandlers {
  onJoined(message: JoinedMessage): void;
  onAttested(attestation: Attestation): void;
  /** The operator's wishes have changed. */
  onConfig(config: RemoteConfig): void;
  /** The socket is about to close: come back at a random moment of that time. */
  onRetry(withinMs: number): void;
  /** The server takes no join without a token, or not this one; the socket is of no use. */
  onRefused(error: NearcastError): void;
  onNeighbours(neighbourhood: Neighbourhood): void;
  onError(error: unknown): void;
}

export interface IndexClientOptions {
  /** Whether the message left. */
  readonly send: (message: object) => boolean;
  readonly isOpen: () => boolean;
  /** A fresh join token, asked for once per socket; `undefined` if the site gives none. */
  readonly joinToken: (() => Promise<string>) | undefined;
  readonly handlers: IndexHandlers;
  /** The assets this viewer holds complete windows of, for a full announcement. */
  readonly holdings: () => Iterable<string>;
  /** The complete windows of one asset; `undefined` if there are none. */
  readonly held: (assetId: string) => HeldWindows | undefined;
  readonly loadPercent: () => number;
  /** Bytes since the last call. */
  readonly takeStats: () => Omit<StatsMessage, "type">;
  readonly signal: AbortSignal;
}

const ANNOUNCE_INTERVAL_MS = 1_000;
const STATS_INTERVAL_MS = 5_000;
type ErrorMessage = Extract<ServerMessage, { type: "error" }>;

export class IndexClient {
  readonly #options: IndexClientOptions;
  readonly #groups = new GroupWeights(GROUPS_MAX);
  readonly #questions: Questions;
  readonly #wants = new Map<string, Promise<WantedMessage>>();
  readonly #announcement = new Announcement();
  #paused = false;
  #open = Promise.withResolvers<void>();
  #wasOpen = false;
  /** Whether the server listens to this socket: a site may want to see a join token first. */
  #admitted = false;
  #announceTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: IndexClientOptions) {
    this.#options = options;
    this.#questions = new Questions(options.send);
    const stats = setInterval(() => {
      this.#sendStats();
      this.#checkHome();
    }, STATS_INTERVAL_MS);
    options.signal.addEventListener("abort", () => {
      clearInterval(stats);
      clearTimeout(this.#announceTimer);
      this.closed();
    });
  }

  get groups(): readonly string[] {
    return this.#groups.names();
  }

  /** Bytes of a group came in: the server puts viewers together by what they consume most. */
  consumed(group: string, bytes: number): void {
    this.#groups.consumed(group, bytes);
  }

  /** The socket is open (again): everything is said anew, once the server lets us in. */
  opened(): void {
    const { joinToken, handlers } = this.#options;
    this.#wasOpen = true;
    if (!joinToken) return this.#start();
    const open = this.#open;
    const current = () => open === this.#open && !this.#admitted;
    joinToken()
      .then(async (token) => {
        if (!current()) return; // the socket that it was for is gone
        await this.#askToJoin(token);
        if (current()) this.#start({ joined: true });
      })
      .catch((error: unknown) => current() && this.#joinFailed(error))
      .catch(handlers.onError);
  }

  #start({ joined = false } = {}): void {
    this.#admitted = true;
    this.#open.resolve();
    if (this.#groups.size > 0 && !joined) this.#join();
    this.#announcement.restart(this.#options.holdings());
    this.#announce();
  }

  /** The socket closed: nobody will answer. */
  closed(): void {
    if (this.#wasOpen) this.#open = Promise.withResolvers<void>();
    this.#wasOpen = false;
    this.#admitted = false;
    this.#questions.closed();
  }

  /** Enters a group; the oldest is left when there are too many. */
  join(group: string): void {
    if (this.#groups.has(group)) return;
    const left = this.#groups.add(group);
    if (left !== undefined && this.#ready) {
      this.#options.send({ type: "leave", groups: [left] } satisfies ViewerMessage);
    }
    this.#join();
  }

  /** A paused viewer is in no group: nobody shall count on it. Its socket stays open. */
  set paused(paused: boolean) {
    if (paused === this.#paused) return;
    this.#paused = paused;
    if (this.#groups.size === 0) return;
    if (!paused) this.#join();
    else if (this.#ready) this.#options.send({ type: "leave", groups: this.groups });
  }

  /** Asks for more neighbours in all groups. */
  refresh(): void {
    if (this.#groups.size > 0) this.#join();
  }

  /**
   * Asks for attestation and holders of one window; one question at a time for the same one.
   *
   * @param assetId Whose holders to name, if the publisher's manifest says what the asset is.
   * @throws {NearcastError} `index/closed` or `index/refused` (no answer in time, or an error).
   */
  want(url: string, window: number, assetId?: string): Promise<WantedMessage> {
    const key = `${window} ${assetId ?? ""} ${url}`;
    let want = this.#wants.get(key);
    if (!want) {
      want = this.#want(url, window, assetId);
      this.#wants.set(key, want);
      const over = () => this.#wants.delete(key);
      want.then(over, over);
    }
    return want;
  }

  /** Whether an answer may still come that changes who holds what. */
  get asking(): boolean {
    return this.#wants.size > 0;
  }

  /** What is held of the asset has changed: the next batch says so. `lost`: some of it is gone. */
  announce(assetId: string, { lost = false } = {}): void {
    this.#announcement.changed(assetId, { lost });
    this.#announceTimer ??= setTimeout(() => this.#announce(), ANNOUNCE_INTERVAL_MS);
  }

  report(peerId: string, reason: "corrupt" | "stalled"): void {
    this.#options.send({ type: "report", peerId, reason } satisfies ViewerMessage);
  }

  /** A message of the server, not yet checked. */
  receive(raw: unknown): void {
    let message: ReturnType<typeof decodeServerMessage>;
    try {
      message = decodeServerMessage(raw);
    } catch (error) {
      return this.#options.handlers.onError(error);
    }
    switch (message.type) {
      case "joined":
        this.#options.handlers.onJoined(message);
        return this.#questions.answered(message);
      case "wanted":
        return this.#questions.answered(message);
      case "attested":
        return this.#options.handlers.onAttested(message.attestation);
      case "config":
        return this.#options.handlers.onConfig(message.config);
      case "retry":
        return this.#options.handlers.onRetry(message.withinMs);
      case "neighbours":
        return this.#options.handlers.onNeighbours(message.neighbourhood);
      case "error":
        return this.#refused(message);
    }
  }

  /** While the socket is down the question waits for it, as long as for an answer. */
  async #want(url: string, window: number, assetId: string | undefined): Promise<WantedMessage> {
    if (!this.#ready) await Promise.race([this.#open.promise, overdue(ANSWER_TIMEOUT_MS)]);
    if (!this.#ready) {
      throw new NearcastError("index/closed", "Cannot ask index: the socket is not open");
    }
    const named = assetId === undefined ? {} : { assetId };
    const q = this.#questions.next();
    const answer = await this.#questions.ask({ type: "want", q, url, window, ...named });
    if (answer.type === "wanted") return answer;
    throw new NearcastError("index/refused", `Cannot ask index: it answered "${answer.type}"`);
  }

  /** Whether what is said now is heard. */
  get #ready(): boolean {
    const { isOpen, joinToken } = this.#options;
    return isOpen() && (this.#admitted || !joinToken);
  }

  #join(): void {
    if (!this.#ready) return; // `opened` will
    this.#askToJoin(undefined).catch((error: unknown) => this.#joinFailed(error));
  }

  #askToJoin(token: string | undefined): Promise<Answer> {
    const groups = this.#paused ? [] : fitting(this.#groups.byWeight(), (group) => group.length);
    this.#groups.home = groups[0];
    return this.#questions.ask({
      type: "join",
      q: this.#questions.next(),
      v: PROTOCOL_VERSION,
      groups,
      ...(token !== undefined && { token }),
    });
  }

  #joinFailed(error: unknown): void {
    const { onRefused, onError } = this.#options.handlers;
    if (error instanceof NearcastError && error.code === "index/token") onRefused(error);
    else onError(error);
  }

  /** Joins again when another group has come to matter clearly more. */
  #checkHome(): void {
    if (this.#groups.homeMoved) this.#join();
    this.#groups.fade();
  }

  #refused({ q, code, message }: ErrorMessage): void {
    const known = code === "index/token" ? code : "index/refused";
    const error = new NearcastError(known, `Cannot ask index: ${message}`);
    if (!this.#questions.refused(q, error)) this.#options.handlers.onError(error);
  }

  #announce(): void {
    clearTimeout(this.#announceTimer);
    this.#announceTimer = undefined;
    if (!this.#ready) return; // all of it is said on the next open
    if (!this.#announcement.pending) return;
    const { held, loadPercent, send } = this.#options;
    const left = this.#announcement.tell(held, (batch) =>
      send({ type: "announce", ...batch, loadPercent: loadPercent() } satisfies ViewerMessage),
    );
    if (left && this.#announcement.pending) {
      this.#announceTimer = setTimeout(() => this.#announce(), ANNOUNCE_INTERVAL_MS);
    }
  }

  #sendStats(): void {
    if (!this.#ready) return;
    const stats = this.#options.takeStats();
    if (Object.values(stats).every((bytes) => bytes === 0 || Array.isArray(bytes))) return;
    this.#options.send({ type: "stats", ...stats });
  }
}

async function overdue(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
