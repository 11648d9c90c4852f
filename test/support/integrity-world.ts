/**
 * One viewer's mesh with nothing but its edges replaced: real trust, library, planner and exchange; peers
 * and origin are functions that answer as well or as badly as told. What the page, the disk and the
 * neighbours would get is recorded.
 * @module
 */

import { PieceSet } from "../../src/core/piece-set.js";
import { Planner } from "../../src/engine/planning/planner.js";
import type { DeliverySession } from "../../src/mesh/delivery/delivery-session.js";
import { Exchange } from "../../src/mesh/delivery/exchange.js";
import { PieceLibrary } from "../../src/mesh/delivery/piece-library.js";
import type { HaveGossip } from "../../src/mesh/links/have-gossip.js";
import type { Neighbours } from "../../src/mesh/links/neighbours.js";
import type { PeerLink } from "../../src/mesh/links/peer-link.js";
import { Trust, type TrustedAsset } from "../../src/mesh/trust/trust.js";
import type { Uploader } from "../../src/mesh/uploads/uploader.js";
import { type PieceRange, pieceCountOf } from "../../src/protocol/asset.js";
import { type VerifiedPiece, verifyPiece } from "../../src/protocol/verify.js";
import type { StoredPiece } from "../../src/store/piece-records.js";
import type { PieceStore } from "../../src/store/piece-store.js";
import type { TestAsset } from "./assets.js";
import { seeded } from "./random.js";

type Bytes = Uint8Array<ArrayBuffer>;

/** What a peer sends for a piece. */
export type PeerManner = (piece: number) => Bytes | Promise<Bytes>;

export const WORLD_MS = 1_700_000_010_000;

export interface Outcome {
  /** Pieces that the page got. */
  readonly delivered: ReadonlyMap<number, Bytes>;
  /** Pieces that were announced to neighbours and index. */
  readonly announced: readonly number[];
  /** Pieces that were handed to the disk. */
  readonly stored: ReadonlyMap<number, Bytes>;
  /** Peers that were dropped, with the reason. */
  readonly dropped: ReadonlyMap<string, string>;
  readonly rejectedBytes: number;
  readonly asked: number;
}

/** A library on a disk that is a map, with its trust. */
export function makeLibrary() {
  const clock = { nowMs: WORLD_MS };
  const trust = new Trust({ pinnedKey: undefined, nowMs: () => clock.nowMs });
  const stored = new Map<number, Bytes>();
  const announced: number[] = [];
  const store = {
    load: async () => [],
    forget: () => undefined,
    saveAsset: () => undefined,
    savePieces: (_window: unknown, pieces: readonly StoredPiece[]) => {
      for (const { piece, bytes } of pieces) stored.set(piece, bytes.slice());
      return true;
    },
    readPieces: async (_assetId: string, _length: number, from: number) => {
      const bytes = stored.get(from);
      return bytes ? [{ piece: from, bytes }] : [];
    },
  };
  const library = new PieceLibrary({
    store: store as unknown as PieceStore,
    trust,
    handlers: { onAdded: (_asset, piece) => void announced.push(piece), onGone: () => undefined },
    busy: () => false,
  });
  return { clock, trust, library, stored, announced };
}

/** Downloads pieces `[from, to)` of an asset from these peers, the origin beside them. */
export async function downloadFrom(
  asset: TestAsset,
  { from, to }: PieceRange,
  peers: Readonly<Record<string, PeerManner>>,
  seed: number,
): Promise<Outcome> {
  const world = makeLibrary();
  const { trust, library, stored, announced } = world;
  for (const attestation of asset.attestations) await trust.restore(attestation, asset.seal);
  const trusted = trust.byId(asset.assetId) as TrustedAsset;
  const dropped = new Map<string, string>();
  const delivered = new Map<number, Bytes>();
  const planner = new Planner({ random: seeded(seed), hopeful: () => false });
  const now = () => world.clock.nowMs;
  let rejectedBytes = 0;
  let asked = 0;
  const work: (() => Promise<void> | void)[] = [];
  const exchange = new Exchange({
    ...{ planner, trust, library, now },
    gossip: { greet: () => undefined } as unknown as HaveGossip,
    uploader: {} as Uploader,
    onLink: () => undefined,
    onAhead: () => undefined,
    onFetchAhead: () => undefined,
    onRejected: (_peerId, bytes) => {
      rejectedBytes += bytes;
    },
    onError: (error) => {
      throw error;
    },
  });
  const handlers = exchange.linkHandlers();
  const links = new Map(
    Object.entries(peers).map(([peerId, manner]) => {
      const link = {
        ...{ peerId, rttMs: 20, send: () => undefined, cancel: () => undefined },
        request: (askId: number, { piece }: { piece: number }) => {
          asked++;
          work.push(async () => handlers.onPiece(link, askId, await manner(piece)));
        },
      } as unknown as PeerLink;
      return [peerId, link] as const;
    }),
  );
  exchange.neighbours = {
    get: (peerId: string) => (dropped.has(peerId) ? undefined : links.get(peerId)),
    get open() {
      return [...links.values()].filter(({ peerId }) => !dropped.has(peerId));
    },
    drop: (peerId: string, reason: string) => {
      dropped.set(peerId, reason);
      work.push(() => exchange.run(planner.removePeer(peerId, now())));
    },
  } as unknown as Neighbours;
  const deliver = (piece: VerifiedPiece) => void delivered.set(piece.piece, piece.bytes.slice());
  const arrive = async (piece: number) => {
    const window = trusted.windows.get(Math.floor(piece / 64));
    const verified = window && (await verifyPiece(window, piece, asset.pieceOf(piece)));
    if (!verified) return;
    library.add(trusted, verified);
    deliver(verified);
    exchange.run(planner.originArrived(1, piece, verified.bytes.byteLength, now()));
  };
  const session = {
    ...{ id: 1, asset: trusted, deadlineMs: WORLD_MS + 60_000, deliver },
    closed: new AbortController().signal,
    claims: () => [],
    tick: () => undefined,
    fetch: (run: PieceRange) => {
      for (let piece = run.from; piece < run.to; piece++) work.push(() => arrive(piece));
      work.push(() => exchange.run(planner.originEnded(1, "complete", now())));
    },
    fail: () => undefined,
  } as unknown as DeliverySession;
  exchange.add(session);

  const pieceCount = pieceCountOf(asset.length);
  for (const [peerId, link] of links) {
    handlers.onOpen(link);
    const all = new PieceSet(pieceCount);
    all.addRange(0, pieceCount);
    const bits = all.toBits(0, pieceCount);
    handlers.onHave(link, { type: "have", assetId: asset.assetId, pieceCount, from: 0, bits });
    if (peerId === "") throw new Error("a peer has an id");
  }
  exchange.run(
    planner.open(
      {
        ...{ id: 1, assetId: asset.assetId, pieceCount, pieces: { from, to }, attestedTo: to },
        ...{ deadlineMs: WORLD_MS + 60_000, patientUntilMs: WORLD_MS },
      },
      library.have(trusted),
      now(),
    ),
  );
  for (let round = 0; round < 5_000 && delivered.size < to - from; round++) {
    const next = work.shift();
    if (next) {
      await next();
      // Verification is asynchronous: what it lets in comes a few turns later.
      await crypto.subtle.digest("SHA-256", new Uint8Array(1));
      await new Promise((resolve) => queueMicrotask(() => resolve(undefined)));
    } else {
      await yieldOnce();
      if (work.length > 0) continue;
      world.clock.nowMs += 50;
      let position = from;
      while (delivered.has(position)) position++;
      exchange.run(planner.advance(1, position, now()));
      exchange.run(planner.tick(now()));
    }
  }
  await yieldOnce();
  exchange.stop();
  library.flush();
  return { delivered, announced, stored, dropped, rejectedBytes, asked };
}

/** Lets every promise that is on its way settle. */
async function yieldOnce(): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  await new Promise<void>((resolve) => {
    port1.onmessage = () => resolve();
    port2.postMessage(0);
  });
  port1.close();
}
