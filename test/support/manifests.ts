/**
 * A publisher: signs manifests of files in memory, as `nearcast manifest` does of a folder, and serves them.
 * @module
 */
import { sha256, toBase64Url, utf8 } from "../../src/core/digest.js";
import { bytesOfPiece, pieceCountOf } from "../../src/protocol/asset.js";
import { pieceLeaf } from "../../src/protocol/attestation.js";
import {
  digestOf,
  fileEntry,
  type ManifestFile,
  type ManifestHead,
  manifestBytes,
} from "../../src/protocol/manifest.js";

type Bytes = Uint8Array<ArrayBuffer>;

export const MANIFEST_URL = "https://site.example/film/nearcast-manifest.json";

export interface Publisher {
  readonly publicKey: string;
  /** What is served, by URL; a test may replace or delete any of it. */
  readonly served: Map<string, Bytes>;
  /** URLs that were asked for. */
  readonly asked: string[];
  readonly fetch: (url: string) => Promise<Response>;
  /** Signs these files and serves the outcome; `fields` go into the head before it is signed. */
  publish(
    files: Readonly<Record<string, Bytes>>,
    fields?: Partial<ManifestHead>,
  ): Promise<ManifestHead>;
}

export async function makePublisher(nowMs: () => number): Promise<Publisher> {
  const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign"])) as CryptoKeyPair;
  const raw = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const served = new Map<string, Bytes>();
  const asked: string[] = [];
  let sequence = 0;
  return {
    publicKey: toBase64Url(raw),
    ...{ served, asked },
    async fetch(url) {
      asked.push(url);
      const bytes = served.get(url);
      return bytes ? new Response(bytes) : new Response("", { status: 404 });
    },
    async publish(files, fields = {}) {
      const entries: ManifestFile[] = [];
      for (const name of Object.keys(files).sort()) {
        const { file, chunks } = await entryOf(name, files[name] as Bytes);
        entries.push(file);
        for (const [index, chunk] of chunks.entries()) {
          served.set(thing(`${file.hashes[index]}.bin`), chunk);
        }
      }
      const part = utf8(JSON.stringify({ v: 1, files: entries }));
      const digest = await digestOf(part);
      served.set(thing(`${digest}.json`), part);
      const last = entries.at(-1)?.name;
      const facts = {
        ...{ v: 1 as const, base: "./", sequence: ++sequence, issuedMs: nowMs() },
        ...{ expiresMs: nowMs() + 600_000, freshMs: 10_000, headers: [["x-from", "manifest"]] },
        parts: last === undefined ? [] : [[last, digest]],
        ...fields,
      } as Omit<ManifestHead, "signature">;
      const signed = await crypto.subtle.sign("Ed25519", pair.privateKey, manifestBytes(facts));
      const head = { ...facts, signature: toBase64Url(new Uint8Array(signed)) };
      served.set(MANIFEST_URL, utf8(JSON.stringify(head)));
      return head;
    },
  };
}

async function entryOf(name: string, bytes: Bytes) {
  const hashes = await Promise.all(
    Array.from({ length: pieceCountOf(bytes.byteLength) }, (_, piece) => {
      const { start, end } = bytesOfPiece(piece, bytes.byteLength);
      return sha256(pieceLeaf(piece, bytes.slice(start, end)));
    }),
  );
  return fileEntry({ name, length: bytes.byteLength, type: "video/mp2t" }, hashes);
}

function thing(name: string): string {
  return new URL(`nearcast-manifest/${name}`, MANIFEST_URL).href;
}
