/**
 * Answers from the store, where all pieces of a request are on disk.
 * @module
 */
import { coveredRange, piecesOfBytes } from "../../protocol/asset.js";
import { OPEN_RANGE_MAX_BYTES, PROTOCOL_VERSION } from "../../protocol/limits.js";
import { isFromManifest } from "../../protocol/manifest.js";
import type { PaceQuestion } from "../../protocol/worker-messages.js";
import { PieceReader } from "../../store/piece-reader.js";
import { askPace, tellUsed } from "../pages/host-tab.js";
import { maySynthesise, type PageRequest } from "../request/page-request.js";
import { requestFor } from "../request/range-request.js";
import { DiskPatience } from "./disk-patience.js";
import { storedBody } from "./from-store.js";
import { paced } from "./paced.js";
import { type ResponseHead, responseHead } from "./response-head.js";
import { wholeIf } from "./whole-body.js";

export class StoredAnswers {
  readonly #store: PieceReader;
  readonly #disk = new DiskPatience();

  /** @param options.onError Told about every failure of the store. */
  constructor(options: { readonly onError: (error: unknown) => void }) {
    this.#store = new PieceReader(options);
  }

  /** @returns `undefined` if it is not all there, or may not be shown to this request. */
  async answer(asked: PageRequest): Promise<Response | undefined> {
    const asset = await this.#disk.read(() => this.#store.findAsset(asked.url, Date.now()));
    const covered = asset && coveredRange(asked.range, asset.length, OPEN_RANGE_MAX_BYTES);
    if (!asset || !covered || !maySynthesise(asked, asset)) return undefined;
    const { from, to } = piecesOfBytes(covered);
    const windows = await this.#disk.read(() => this.#store.holds(asset, { from, to }, Date.now()));
    if (!windows) return undefined;
    if (asked.active && !windows.every(({ attestation }) => isFromManifest(attestation))) {
      return undefined;
    }
    if (!(await asked.authorisation.grants(asset))) return undefined;
    const head = responseHead(asset, {
      ...asked,
      covered,
      ranged: asked.range !== undefined,
    });
    void tellUsed(asset.assetId, from, to);
    const body = storedBody({
      reader: this.#store,
      asset,
      windows,
      covered,
      fetchRange: (bytes, signal) => fetch(requestFor(asked.request, bytes, signal)),
      onBytes: (source, bytes) => asked.company.count(source, bytes),
      onEnd: () => asked.company.end(head.status),
    });
    const { integrity } = asked.request;
    if (integrity !== "") return wholeIf(integrity, new Response(body, head));
    return new Response(pacedBody(asked, body, head), head);
  }
}

/** A script's request may be an adaptive player's, which measures how fast its segments come. */
function pacedBody(
  { request, handler, host, url, pacer }: PageRequest,
  body: ReadableStream<Uint8Array>,
  { headers }: ResponseHead,
): ReadableStream<Uint8Array> {
  if (request.destination !== "") return body;
  const value = (name: string) => headers.find(([header]) => header === name)?.[1] ?? "";
  const question: PaceQuestion = {
    nearcast: PROTOCOL_VERSION,
    type: "pace",
    url,
    clientId: (handler.event as FetchEvent).clientId,
    bytes: Number(value("content-length")),
    contentType: value("content-type"),
  };
  const ended = Promise.withResolvers<void>();
  void host.then((tab) => {
    if (!tab) return pacer.advise({ type: "pace", bytesPerMs: undefined });
    void ended.promise.then(askPace(tab, question, (advice) => pacer.advise(advice)));
  });
  return paced(body, pacer, ended.resolve);
}
