/**
 * Attestations for tests. Their signatures have the right form and are not valid.
 * @module
 */
import { pieceCountOf } from "../../src/protocol/asset.js";
import type { Attestation } from "../../src/protocol/attestation.js";
import { WINDOW_PIECES } from "../../src/protocol/limits.js";

/** A well-formed attestation of window `window`; its hashes are "AAA…", "BBB…" and so on. */
export function sampleAttestation(fields: Partial<Attestation> = {}): Attestation {
  const { length = 65_537, window = 0 } = fields;
  const pieces = Math.min(
    WINDOW_PIECES,
    Math.max(0, pieceCountOf(length) - window * WINDOW_PIECES),
  );
  return {
    v: 1,
    url: "https://cdn.example/live/1.ts",
    version: '"v1"',
    length,
    headers: [
      ["content-type", "video/mp2t"],
      ["cache-control", "max-age=60"],
    ],
    window,
    hashes: Array.from({ length: pieces }, (_, piece) =>
      String.fromCharCode(65 + (piece % 26)).repeat(43),
    ),
    issuedMs: 1_700_000_000_000,
    expiresMs: 1_700_000_060_000,
    keyId: "k1",
    signature: "A".repeat(86),
    ...fields,
  };
}
