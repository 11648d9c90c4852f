/**
 * The index as viewers talk to it: join, announce, want and their kin in, answers out. What a viewer says is
 * checked by the guards of `protocol/signal-messages.ts` before it gets here.
 * @module
 */
import { NearcastError } from "../../core/errors.js";
import { assetIdOf } from "../../protocol/asset.js";
import type { Attestation } from "../../protocol/attestation.js";
import { PROTOCOL_VERSION } from "../../protocol/limits.js";
import { isSealedId, sealedIdOf } from "../../protocol/seal.js";
import { decodeViewerMessage } from "../../protocol/signal-decoder.js";
import type {
  JoinMessage,
  PeerHint,
  ServerMessage,
  StatsMessage,
  ViewerMessage,
  WantMessage,
} from "../../protocol/signal-messages.js";
import type { Admission } from "../admission/admission.js";
import type { TokenObjection } from "../admission/join-desk.js";
import type { Quotas } from "../admission/quotas.js";
import { type Attestor, QUOTA, type WantOutcome } from "../attest/attestor.js";
import type { SealKeys } from "../attest/seal-keys.js";
import type { Signer } from "../attest/signer.js";
import { filledUp, mixed } from "../cluster/mixed-peers.js";
import { type OtherNodes, whenKnown } from "../cluster/other-nodes.js";
import type { Metrics } from "../http/metrics.js";
import type { ServerConfig } from "../options.js";
import type { SiteBook } from "../site-settings.js";
import type { Session, Sessions } from "../sockets/sessions.js";
import { CLOSE } from "../sockets/viewer-socket.js";
import { type TurnConfig, turnServersFor } from "../turn-credentials.js";
import { AttestationNews } from "./attestation-news.js";
import type { MemoryIndex } from "./memory-index.js";
import { NeighbourNews } from "./neighbour-news.js";
import type { Neighbourhoods } from "./neighbourhoods.js";

/** Wants of one viewer that may be under way. */
const PENDING_WANTS_MAX = 64;

/** Whoever may not have a sealed asset learns nothing of it but that. */
const SEALED: WantOutcome = {
  refused: { reason: "sealed: the join token does not name it", retryMs: 60_000 },
};

const STATS = ["cache", "mesh", "origin", "uploaded", "rejected"] as const;

export interface IndexServiceOptions {
  readonly index: MemoryIndex;
  readonly neighbourhoods: Neighbourhoods;
  readonly attestor: Attestor;
  readonly sessions: Sessions;
  readonly signer: Signer;
  readonly sealKeys: SealKeys;
  readonly metrics: Metrics;
  readonly admission: Admission;
  readonly quotas: Quotas;
  /** They know of holders that are not here. */
  readonly others: Pick<OtherNodes, "holders" | "members">;
  readonly config: Pick<ServerConfig, "iceServers"> & TurnConfig;
  /** The settings of the moment. */
  readonly sites: () => SiteBook;
  readonly nowMs: () => number;
  readonly signal: AbortSignal;
}

/** Answers the index messages of all sessions of one server. */
export class IndexService {
  readonly #options: IndexServiceOptions;
  readonly #neighbourNews: NeighbourNews;
  readonly #attestationNews: AttestationNews;
  readonly #onBug = () => this.#options.metrics.add("nearcast_rejected_total", "internal");

  constructor(options: IndexServiceOptions) {
    this.#options = options;
    this.#neighbourNews = new NeighbourNews(options);
    this.#attestationNews = new AttestationNews(options);
  }

  /** The viewer's socket is gone, and with it its place in a clique. */
  gone(id: string): void {
    this.#options.neighbourhoods.remove(id);
    this.#neighbourNews.tell();
  }

  /** Handles one frame with a lower-case type; a malformed one is answered with an error. */
  receive(from: Session, frame: unknown): void {
    const { metrics } = this.#options;
    try {
      const message = decodeViewerMessage(frame);
      metrics.add("nearcast_messages_total", message.type);
      this.#dispatch(from, message);
    } catch (error) {
      if (!(error instanceof NearcastError)) throw error;
      metrics.add("nearcast_rejected_total", "message");
      send(from, { type: "error", code: error.code, message: error.message });
    }
  }

  /** Tells a viewer what its page shall do now; one that never joined does not care. */
  tellConfig(to: Session): void {
    const { remote } = this.#options.sites().of(to.siteOrigin);
    if (to.joined) send(to, { type: "config", config: remote });
  }

  tellRetry(to: Session, withinMs: number): void {
    if (to.joined) send(to, { type: "retry", withinMs });
  }

  #dispatch(from: Session, message: ViewerMessage): void {
    const { index } = this.#options;
    switch (message.type) {
      case "join":
        this.#join(from, message);
        break;
      case "leave":
        index.leave(from.id, message.groups);
        this.#options.neighbourhoods.leave(from.id, message.groups);
        this.#neighbourNews.tell();
        break;
      case "announce":
        index.announce(from.id, message);
        break;
      case "want":
        this.#want(from, message).catch(this.#onBug);
        break;
      case "stats":
        this.#count(from, message);
        break;
      case "report":
        // A viewer's word alone moves nobody's place in the index: it would be a weapon.
        this.#options.metrics.add("nearcast_reports_total", message.reason);
        break;
    }
  }

  #join(from: Session, message: JoinMessage): void {
    const { q, v, token } = message;
    if (v !== PROTOCOL_VERSION) {
      const message = `Cannot join with protocol version ${v}: this server speaks ${PROTOCOL_VERSION}`;
      send(from, { type: "error", q, code: "protocol/version", message });
      return;
    }
    const judged = (objection: TokenObjection | undefined) => {
      if (from.over) return;
      if (objection === undefined) this.#enter(from, message);
      else {
        const refusal = `Cannot join with this token: ${objection}`;
        send(from, { type: "error", q, code: "index/token", message: refusal });
        if (!from.admitted) from.socket.close(CLOSE.token, "a join token is needed");
      }
    };
    void whenKnown(this.#options.admission.show(from, token), judged, this.#onBug);
  }

  #enter(from: Session, { q, groups }: JoinMessage): void {
    const { index, neighbourhoods, others, nowMs } = this.#options;
    from.joined = true;
    const fresh = groups.filter((group) => !index.isIn(from.id, group));
    neighbourhoods.join(from.id, from.locality, groups);
    const here = index.join(from.id, groups, nowMs());
    const elsewhere = others.members(from.locality, groups) ?? [];
    const say = (far: readonly PeerHint[]) =>
      this.#sayJoined(from, q, { peers: mixed(here, far), fresh });
    void whenKnown(elsewhere, say, this.#onBug);
  }

  #sayJoined(
    from: Session,
    q: number,
    { peers, fresh }: { peers: readonly PeerHint[]; fresh: readonly string[] },
  ): void {
    const { signer, config, sites, nowMs } = this.#options;
    send(from, {
      type: "joined",
      q,
      v: PROTOCOL_VERSION,
      id: from.id,
      nowMs: nowMs(),
      keys: [[signer.keyId, signer.publicKey]],
      iceServers: [...config.iceServers, ...turnServersFor(from.id, config, nowMs())],
      neighbourhood: this.#neighbourNews.of(from),
      peers: from.introductions.introduce(peers, nowMs()),
      config: sites().of(from.siteOrigin).remote,
    });
    this.#attestationNews.greet(from, fresh);
    this.#neighbourNews.tell();
  }

  async #want(from: Session, { q, url, window, assetId }: WantMessage): Promise<void> {
    const { socket } = from;
    const { sites } = this.#options;
    const sealed = sites().isSealed(url);
    const barred = sealed && !(sites().of(from.siteOrigin).opens(url) && from.mayOpen?.(url));
    const outcome = barred ? SEALED : await this.#attest(from, url, window);
    const attestation = "refused" in outcome ? undefined : outcome.attestation;
    const refused = "refused" in outcome ? outcome.refused : undefined;
    if (refused) this.#options.metrics.add("nearcast_refused_total");
    const asked = assetId ?? (await attestedIdOf(attestation));
    const known =
      asked !== undefined && !barred ? await this.#placeOf(url, asked, sealed) : undefined;
    const holders = known ? await this.#holders(from, known.assetId, window) : [];
    const seal = known?.seal;
    send({ socket }, { type: "wanted", q, url, window, attestation, seal, refused, holders });
    if ("refused" in outcome || !outcome.isNew) return;
    await this.#attestationNews.spread(outcome, from);
  }

  /** Under which id those who may have it hold an asset, and with which key; whoever names a sealed id learns nothing. */
  async #placeOf(
    url: string,
    asked: string,
    sealed: boolean,
  ): Promise<{ assetId: string; seal?: string } | undefined> {
    if (!sealed) return isSealedId(asked) ? undefined : { assetId: asked };
    const seal = this.#options.sealKeys.keyOf(url, asked);
    return { assetId: await sealedIdOf(asked, seal), seal };
  }

  async #holders(from: Session, assetId: string, window: number): Promise<readonly PeerHint[]> {
    const { index, others, nowMs } = this.#options;
    const here = index.holders(from.id, assetId, window, nowMs());
    const elsewhere = others.holders(from.locality, assetId, window, here.length);
    const all = elsewhere ? filledUp(here, await elsewhere) : here;
    return from.introductions.introduce(all, nowMs());
  }

  async #attest(from: Session, url: string, window: number): Promise<WantOutcome> {
    if (from.pendingWants >= PENDING_WANTS_MAX) {
      return { refused: { reason: "too many wants under way", retryMs: 1_000 } };
    }
    const { attestor, quotas, nowMs } = this.#options;
    const { siteOrigin } = from;
    const { address } = from.locality;
    if (!quotas.want({ address, siteOrigin }, nowMs())) return { refused: QUOTA };
    from.pendingWants++;
    try {
      const mayRead = quotas.mayRead(siteOrigin, nowMs());
      return await attestor.want(url, window, siteOrigin, { mayRead });
    } finally {
      from.pendingWants--;
    }
  }

  #count(from: Session, stats: StatsMessage): void {
    this.#options.neighbourhoods.measured(from.id, stats.goodput);
    for (const source of STATS) {
      this.#options.metrics.add("nearcast_viewer_bytes_total", source, stats[source]);
    }
  }
}

function send({ socket }: Pick<Session, "socket">, message: ServerMessage): void {
  socket.send(JSON.stringify(message));
}

async function attestedIdOf(attestation: Attestation | undefined): Promise<string | undefined> {
  return attestation && assetIdOf(attestation.url, attestation.version, attestation.length);
}
