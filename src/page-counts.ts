/**
 * What `stats()` shows, and the counting behind it: requests and bytes of this page, and what the hosts that ran
 * in it did for others.
 * @module
 */
import type { MeshCounts } from "./mesh/tally.js";
import type { RequestReport } from "./protocol/worker-messages.js";

/** Whether this tab runs the mesh, leaves that to another tab, or nothing runs at all. */
export type Role = "host" | "guest" | "off";

/** What happened since page load, in counts and bytes. */
export interface NearcastStats {
  readonly role: Role;
  /** Why the role is `off`. */
  readonly reason?: string;
  /** Open links to other viewers; 0 in a guest tab. */
  readonly links: number;
  readonly requests: {
    readonly total: number;
    readonly cache: number;
    readonly mesh: number;
    readonly origin: number;
    /** Requests whose bytes came from more than one source. */
    readonly mixed: number;
  };
  readonly bytes: {
    readonly cache: number;
    readonly mesh: number;
    /** As the origin counts it: what a peer was first with as well. */
    readonly origin: number;
    /** To other viewers; counted in the host tab. */
    readonly uploaded: number;
    /** From other viewers, thrown away because they did not verify; counted in the host tab. */
    readonly rejected: number;
    /** From other viewers before a player asked for them; counted in the host tab. They come to a page as `cache`. */
    readonly ahead: number;
  };
  /** Times a media element of this page ran dry after it had started. */
  readonly stalls: number;
  readonly index: "open" | "connecting" | "closed";
}

/** Bytes by where they came from. */
type SourceBytes = RequestReport["bytes"];

const SOURCES = ["cache", "mesh", "origin"] as const;

export class PageCounts {
  readonly #requests = { total: 0, cache: 0, mesh: 0, origin: 0, mixed: 0 };
  readonly #bytes = { cache: 0, mesh: 0, origin: 0 };
  /** Of hosts of this page that are no more. */
  readonly #past: MeshCounts = { uploaded: 0, rejected: 0, ahead: 0 };
  #stalls = 0;

  addBytes(bytes: SourceBytes): void {
    for (const source of SOURCES) this.#bytes[source] += bytes[source];
  }

  /** @param bytes Of the whole request. */
  addRequest(bytes: SourceBytes): void {
    this.#requests.total++;
    const sources = SOURCES.filter((source) => bytes[source] > 0);
    const [only = "origin"] = sources;
    this.#requests[sources.length > 1 ? "mixed" : only]++;
  }

  addStall(): void {
    this.#stalls++;
  }

  /** The host of this page ends; what it counted stays. */
  keep(host: MeshCounts): void {
    this.#past.uploaded += host.uploaded;
    this.#past.rejected += host.rejected;
    this.#past.ahead += host.ahead;
  }

  /** @param host Counts of the host that runs in this page, if one does. */
  shown(host: MeshCounts | undefined): Pick<NearcastStats, "requests" | "bytes" | "stalls"> {
    return {
      requests: { ...this.#requests },
      bytes: {
        ...this.#bytes,
        uploaded: this.#past.uploaded + (host?.uploaded ?? 0),
        rejected: this.#past.rejected + (host?.rejected ?? 0),
        ahead: this.#past.ahead + (host?.ahead ?? 0),
      },
      stalls: this.#stalls,
    };
  }
}
