/**
 * The viewer's side of the index: asks, announces and tells over PeerJS's own socket. The server forgets
 * everything when the socket closes, and PeerJS drops what is sent while it is down, so this client keeps
 * its own state and says all of it again on every open.
 * @module
 */
import { NearcastError } from "../../core/errors.js";
import type { Attestation } from "../../protocol/attestation.js";
import {
  ANNOUNCE_MAX_ASSETS,
  GROUPS_MAX,
  PROTOCOL_VERSION,
  SIGNAL_MESSAGE_MAX_BYTES,
} from "../../protocol/limits.js";
import {
  decodeServerMessage,
  type HeldWindows,
  type JoinedMessage,
  type Neighbourhood,
  type RemoteConfig,
  type ServerMessage,
  type StatsMessage,
  type ViewerMessage,
  type WantedMessage,
} from "../../protocol/signal-messages.js";

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

const ANSWER_TIMEOUT_MS = 5_000;
const ANNOUNCE_INTERVAL_MS = 1_000;
const STATS_INTERVAL_MS = 5_000;
/** What was consumed counts half after about half a minute. */
const WEIGHT_KEPT = 0.9;

type Answer = JoinedMessage | WantedMessage;

type ErrorMessage = Extract<ServerMessage, { type: "error" }>;

interface Question {
  resolve(answer: Answer): void;
  reject(error: NearcastError): void;
}

export class IndexClient {
  readonly #options: IndexClientOptions;
  /** In order of entry, with the bytes consumed of late. */
  readonly #groups = new Map<string, number>();
  /** The group that was said to matter most. */
  #home: string | undefined;
  #paused = false;
  readonly #questions = new Map<number, Question>();
  readonly #wants = new Map<string, Promise<WantedMessage>>();
  /** Assets to announce in the next batch; what is held is looked up when it leaves. */
  readonly #changed = new Set<string>();
  /** Assets of which less is held than was announced: the server forgets them before it adds. */
  readonly #lost = new Set<string>();
  #open = Promise.withResolvers<void>();
  #wasOpen = false;
  /** Whether the server listens to this socket: a site may want to see a join token first. */
  #admitted = false;
  #lastQuestion = 0;
  #announceTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: IndexClientOptions) {
    this.#options = options;
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
    return [...this.#groups.keys()];
  }

  /** Bytes of a group came in: the server puts viewers together by what they consume most. */
  consumed(group: string, bytes: number): void {
    const weight = this.#groups.get(group);
    if (weight !== undefined) this.#groups.set(group, weight + bytes);
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
    this.#changed.clear();
    for (const assetId of this.#options.holdings()) this.#changed.add(assetId);
    this.#announce();
  }

  /** The socket closed: nobody will answer. */
  closed(): void {
    if (this.#wasOpen) this.#open = Promise.withResolvers<void>();
    this.#wasOpen = false;
    this.#admitted = false;
    for (const question of this.#questions.values()) {
      question.reject(new NearcastError("index/closed", "Cannot ask index: the socket closed"));
    }
    this.#questions.clear();
  }

  /** Enters a group; the oldest is left when there are too many. */
  join(group: string): void {
    if (this.#groups.has(group)) return;
    this.#groups.set(group, 0);
    if (this.#groups.size > GROUPS_MAX) {
      const [oldest] = this.#groups.keys();
      if (oldest !== undefined) {
        this.#groups.delete(oldest);
        if (this.#ready) {
          this.#options.send({ type: "leave", groups: [oldest] } satisfies ViewerMessage);
        }
      }
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
    this.#changed.add(assetId);
    if (lost) this.#lost.add(assetId);
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
        return this.#answer(message);
      case "wanted":
        return this.#answer(message);
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
    const q = this.#nextQuestion();
    const named = assetId === undefined ? {} : { assetId };
    const answer = await this.#ask({ type: "want", q, url, window, ...named });
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
    const groups = this.#paused ? [] : fitting(this.#byWeight(), (group) => group.length);
    this.#home = groups[0];
    return this.#ask({
      type: "join",
      q: this.#nextQuestion(),
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

  /** The most consumed first, then the newest: the first counts most, the last may not fit a message. */
  #byWeight(): string[] {
    return [...this.#groups]
      .reverse()
      .sort(([, a], [, b]) => b - a)
      .map(([group]) => group);
  }

  /** Joins again when another group has come to matter clearly more. */
  #checkHome(): void {
    const weightOf = (group: string | undefined) => this.#groups.get(group ?? "") ?? 0;
    const [first] = this.#byWeight();
    if (weightOf(first) > 2 * weightOf(this.#home)) this.#join();
    for (const [group, weight] of this.#groups) this.#groups.set(group, weight * WEIGHT_KEPT);
  }

  #ask(message: Extract<ViewerMessage, { q: number }>): Promise<Answer> {
    return new Promise<Answer>((resolve, reject) => {
      const refuse = (error: NearcastError) => {
        clearTimeout(timer);
        this.#questions.delete(message.q);
        reject(error);
      };
      const timer = setTimeout(
        () => refuse(new NearcastError("index/refused", "Cannot ask index: no answer in time")),
        ANSWER_TIMEOUT_MS,
      );
      this.#questions.set(message.q, {
        resolve: (answer) => {
          clearTimeout(timer);
          resolve(answer);
        },
        reject: refuse,
      });
      if (!this.#options.send(message)) {
        refuse(new NearcastError("index/closed", "Cannot ask index: the socket is not open"));
      }
    });
  }

  #answer(message: Answer): void {
    const question = this.#questions.get(message.q);
    this.#questions.delete(message.q);
    question?.resolve(message); // an answer that nobody waits for came too late
  }

  #refused({ q, code, message }: ErrorMessage): void {
    const known = code === "index/token" ? code : "index/refused";
    const error = new NearcastError(known, `Cannot ask index: ${message}`);
    const question = q === undefined ? undefined : this.#questions.get(q);
    if (question) question.reject(error);
    else this.#options.handlers.onError(error);
  }

  #announce(): void {
    clearTimeout(this.#announceTimer);
    this.#announceTimer = undefined;
    if (!this.#ready) return; // all of it is said on the next open
    const changed = [...this.#changed].slice(0, ANNOUNCE_MAX_ASSETS);
    if (changed.length === 0) return;
    const batch = fitting(
      changed.map((assetId) => [assetId, this.#options.held(assetId)] as const),
      (entry) => JSON.stringify(entry).length,
    );
    const message: ViewerMessage = {
      type: "announce",
      add: batch.flatMap(([assetId, windows]) => (windows ? [[assetId, windows] as const] : [])),
      remove: batch
        .map(([assetId]) => assetId)
        .filter((assetId, at) => !batch[at]?.[1] || this.#lost.has(assetId)),
      loadPercent: this.#options.loadPercent(),
    };
    if (!this.#options.send(message)) return; // all of it is said again on the next open
    for (const [assetId] of batch) {
      this.#changed.delete(assetId);
      this.#lost.delete(assetId);
    }
    if (this.#changed.size > 0) {
      this.#announceTimer = setTimeout(() => this.#announce(), ANNOUNCE_INTERVAL_MS);
    }
  }

  #sendStats(): void {
    if (!this.#ready) return;
    const stats = this.#options.takeStats();
    if (Object.values(stats).every((bytes) => bytes === 0 || Array.isArray(bytes))) return;
    this.#options.send({ type: "stats", ...stats });
  }

  #nextQuestion(): number {
    this.#lastQuestion = (this.#lastQuestion + 1) % 2 ** 31;
    return this.#lastQuestion;
  }
}

/** As many entries as fit one message with room for the rest of it; always at least one. */
function fitting<T>(entries: readonly T[], lengthOf: (entry: T) => number): T[] {
  let left = SIGNAL_MESSAGE_MAX_BYTES - 2_048;
  return entries.filter((entry, at) => {
    left -= lengthOf(entry) + 3;
    return at === 0 || left > 0;
  });
}

async function overdue(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
