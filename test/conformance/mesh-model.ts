/**
 * Two clients and a mesh reduced to its policy: what the first one got from the origin answers the second one
 * if the request may be accelerated, the answer be shared, and it is fresh. No links, no pieces: whatever
 * differs from a client alone is the policy's doing. The modules asked are the product's own.
 * @module
 */
import { decideSharing, mayAccelerate } from "../../src/engine/rules/sharing-policy.js";
import { coveredRange } from "../../src/protocol/asset.js";
import type { Header } from "../../src/protocol/attestation.js";
import { attestedHeaders } from "../../src/signal/attest/asset-rules.js";
import { responseHead } from "../../src/sw/answer/response-head.js";
import { parseRange } from "../../src/sw/request/byte-range.js";
import { factsOf } from "../../src/sw/request/request-facts.js";

interface Shared {
  readonly headers: readonly Header[];
  readonly body: Uint8Array<ArrayBuffer>;
  readonly client: number;
  readonly expiresMs: number;
}

/** The suite's client in Node sends these so that its own fetch stores nothing; they are not the test's. */
const OF_THE_RUNNER = ["nothing-to-see-here", "foo"];

export class MeshModel {
  readonly #held = new Map<string, Shared>();
  /** Answers that came from the other client. */
  shared = 0;

  /** @param client Who asks; nobody is answered by itself. */
  async fetch(client: number, url: string, init: RequestInit): Promise<Response> {
    const { cache: _, ...rest } = init;
    const own = ([, value]: [string, string]) => !OF_THE_RUNNER.includes(value);
    const headers = ((rest.headers ?? []) as [string, string][]).filter(own);
    const request = new Request(url, { ...rest, headers });
    const ours = mayAccelerate(factsOf(request, true));
    const held = ours ? this.#held.get(url) : undefined;
    if (held && held.client !== client && Date.now() < held.expiresMs) {
      const answer = answerFrom(held, request);
      if (answer) {
        this.shared++;
        return answer;
      }
    }
    const response = await fetch(request);
    if (ours) await this.#learn(client, url, response.clone());
    return response;
  }

  async #learn(client: number, url: string, response: Response): Promise<void> {
    const headers = [...response.headers].map(([name, value]): Header => [name, value]);
    const nowMs = Date.now();
    const decision = decideSharing({ status: response.status, headers, nowMs });
    // The attestor reads whole windows itself; a part that a client asked for teaches the mesh nothing here.
    if (!decision.shared || response.status !== 200) return void this.#held.delete(url);
    this.#held.set(url, {
      client,
      headers: attestedHeaders(headers),
      body: new Uint8Array(await response.arrayBuffer()),
      expiresMs: nowMs + decision.freshMs,
    });
  }
}

function answerFrom({ headers, body }: Shared, request: Request): Response | undefined {
  const header = request.headers.get("range");
  const asked = header === null ? undefined : parseRange(header);
  if (header !== null && !asked) return undefined;
  const covered = coveredRange(asked, body.byteLength, body.byteLength);
  if (!covered) return undefined;
  const head = responseHead(
    { length: body.byteLength, headers },
    { covered, ranged: asked !== undefined, crossOrigin: false },
  );
  return new Response(body.slice(covered.start, covered.end), head);
}
