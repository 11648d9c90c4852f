/** What sealing adds to a piece, at the viewer that sends it and at the one that gets it; twin: an asset that is not sealed. */
import { build } from "esbuild";
import { openBrowser, using } from "../support/browser.mjs";
import { figure } from "../support/report.mjs";
import { SiteProcess } from "../support/site-process.mjs";

const PIECES = 256;

/** Runs in the page, on the sources themselves. */
const MEASURE = `
  import { openAttestation, pieceLeaf } from "./src/protocol/attestation.ts";
  import { fromPeer, sealedWindow, toPeer } from "./src/protocol/seal.ts";
  import { verifyPiece } from "./src/protocol/verify.ts";
  import { sha256, toBase64Url } from "./src/core/digest.ts";
  import { PIECE_BYTES, WINDOW_PIECES } from "./src/protocol/limits.ts";

  const length = PIECE_BYTES * WINDOW_PIECES;
  const bytesOf = () => {
    const bytes = new Uint8Array(PIECE_BYTES);
    return crypto.getRandomValues(bytes);
  };
  const each = async (count, step) => {
    const startMs = performance.now();
    for (let n = 0; n < count; n++) await step(n % WINDOW_PIECES);
    return (1_000 * (performance.now() - startMs)) / count;
  };
  globalThis.measure = async (count) => {
    const pieces = Array.from({ length: WINDOW_PIECES }, bytesOf);
    const hashes = await Promise.all(
      pieces.map(async (bytes, piece) => toBase64Url(await sha256(pieceLeaf(piece, bytes)))),
    );
    const open = await openAttestation({
      ...{ v: 1, url: "https://cdn.example/film", version: "1", length, headers: [], window: 0, hashes },
      ...{ issuedMs: 0, expiresMs: 1, keyId: "", signature: "" },
    });
    const seal = toBase64Url(crypto.getRandomValues(new Uint8Array(32)));
    const result = {};
    for (const [name, window] of [["twin", open], ["ours", await sealedWindow(open, seal)]]) {
      const verified = await Promise.all(pieces.map((bytes, piece) => verifyPiece(window, piece, bytes)));
      const sent = await Promise.all(verified.map((piece) => toPeer(window, piece)));
      const receive = async (piece) => {
        const plain = await fromPeer(window, piece, sent[piece].bytes);
        if (!(await verifyPiece(window, piece, plain))) throw new Error("it verifies");
      };
      result[name] = {
        sendUs: await each(count, (piece) => toPeer(window, verified[piece])),
        receiveUs: await each(count, receive),
      };
    }
    return result;
  };
`;

export const seal = {
  help: "64 KiB on their way out of and into a viewer, sealed; twin: not sealed",
  run: ({ runs }) =>
    using(async (track) => {
      const site = track(await SiteProcess.start());
      const browser = track(await openBrowser());
      const page = await browser.newPage();
      await page.goto(site.page("/control", { off: "" }));
      const { outputFiles } = await build({
        stdin: { contents: MEASURE, resolveDir: process.cwd(), loader: "ts" },
        ...{
          bundle: true,
          write: false,
          format: "iife",
          target: "es2022",
          ignoreAnnotations: true,
        },
      });
      await page.evaluate(outputFiles[0].text);
      const measure = () => page.evaluate((count) => globalThis.measure(count), PIECES);
      await measure(); // what is compiled and imported at first is nobody's
      const samples = [];
      for (let run = 0; run < runs; run++) samples.push(await measure());
      const of = (key) => ({
        ours: samples.map(({ ours }) => ours[key]),
        twin: samples.map(({ twin }) => twin[key]),
        compare: "difference",
      });
      return {
        figures: [
          figure("a piece is made ready for a peer", "µs", of("sendUs")),
          figure("a peer's piece is opened and verified", "µs", of("receiveUs")),
        ],
      };
    }),
};
