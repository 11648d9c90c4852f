/**
 * The frame of the fault matrix: each row sets a stage, lets one fault happen, and makes the same request in
 * a page with Nearcast (the victim) and in a page without (its twin), against the same origin. What the
 * victim gets must be what the twin gets, at most `allowedMs` later.
 *
 * A row is an object:
 *
 *     row          number in the matrix
 *     name         what breaks
 *     allowedMs    by how much the victim may be later than its twin, besides {@link NOISE_MS}
 *     fast         `true`: part of `npm test`
 *     browsers     where it can be injected (default: both)
 *     samples      how often it is measured, each time with another file (default 3); the median counts
 *     seeders      how the peers' pages are opened: a list of `{ prepare, argument, options }` (default: one plain one)
 *     victim       the same for the victim, or `(stage) =>` that; its pages are opened at `/blank`
 *     unattested   `true`: the seeders' files are none that the index attests
 *     linked       links that the victim must have before it starts (default: one for each seeder)
 *     rig          more options of `openRig`
 *     prepareStage `(stage) =>` before the victim comes
 *     preferences  of Firefox
 *     open         `(row) =>` a stage of its own, for what one machine's own network cannot show
 *     missing      `() =>` what this machine lacks for it, in words; such a row is left out
 *     inject       `(stage) =>` breaks something, once, when all are linked
 *     during       `(stage, path) =>` breaks something while the victim's request runs, each time
 *     run          `(page, path, stage) =>` the request (default: {@link timedFetch} of the whole file)
 *     equal        `(ours, twin, stage, path) =>` whether the answers are the same (default: status, bytes and hash)
 *     end          `(stage) =>` gives back what `prepareStage` took
 *     check        `(stage, { ours, twin }) =>` further assertions
 *
 * A stage has `rig`, `seeders`, `victim`, `twin` (pages), `browser` (of puppeteer), `folder` (of the files), `profiles`
 * and `paths`.
 * @module
 */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { holds, linked, openBlank, openRig } from "../e2e/support/rig.mjs";

/** What measuring itself costs: two pages and a CDN on two processors, and a worker in the way. */
const NOISE_MS = 60;
const FILES = 8;
export const FILE_BYTES = 2 ** 20;
/** A CDN as from a good line: the mesh has time to be useful, and a fault has time to hurt. */
export const LINE = { rateBytesPerS: 4_000_000, delayMs: 40 };

/** Of a peer that is so slow that the origin must help. */
const SLOW_BYTES_PER_S = 400_000;
export const SLOW_PEER = [{ options: { "upload-max-rate": SLOW_BYTES_PER_S } }];
/** For a file that such a peer alone brings. */
export const SLOW_PEER_MS = 250 + Math.ceil((FILE_BYTES / SLOW_BYTES_PER_S) * 1_000);

/** A row's `rig` with the worker of the build, with something in front of it. */
export const workerWith = (script, change = (text) => text) => ({
  files: {
    "/nearcast-sw.js": () => ({
      type: "text/javascript",
      headers: { "Cache-Control": "no-cache" },
      body: `${script}\n${change(readFileSync("dist/nearcast-sw.js", "utf8"))}`,
    }),
  },
});

/** `fetch()` in the page, timed there: status, bytes, hash, first and last byte in milliseconds, or the error. */
export function timedFetch(page, path, init = {}) {
  return page.evaluate(
    async (target, options) => {
      const startMs = performance.now();
      let [status, firstMs, bytes] = [0, undefined, 0];
      window.progress = 0; // of an earlier request, or a fault that waits for it would come too soon
      const chunks = [];
      try {
        const response = await fetch(target, options);
        ({ status } = response);
        const reader = response.body.getReader();
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          firstMs ??= performance.now() - startMs;
          bytes += value.byteLength;
          window.progress = bytes;
          chunks.push(value);
        }
      } catch (error) {
        return { status, bytes, error: error.name, ms: performance.now() - startMs };
      }
      const ms = performance.now() - startMs;
      const digest = await crypto.subtle.digest("SHA-256", await new Blob(chunks).arrayBuffer());
      const hash = Array.from(new Uint8Array(digest), (b) => b.toString(16).padStart(2, "0"));
      return { status, bytes, firstMs, ms, hash: hash.join("") };
    },
    path,
    init,
  );
}

const sameAnswer = (ours, twin) =>
  ours.status === twin.status &&
  ours.bytes === twin.bytes &&
  ours.hash === twin.hash &&
  ours.error === twin.error;

/** A folder of {@link FILES} files and `join.bin`, and the hash of each by its path. */
export function makeFiles() {
  const folder = mkdtempSync(join(tmpdir(), "nearcast-faults-"));
  const hashes = {};
  for (const name of ["join", ...Array(FILES).keys()]) {
    const bytes = randomBytes(FILE_BYTES);
    hashes[`/media/${name}.bin`] = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(folder, `${name}.bin`), bytes);
  }
  const paths = Array.from({ length: FILES }, (_, index) => `/media/${index}.bin`);
  return { folder, hashes, paths };
}

/** Sets the stage of one row; `close()` ends all of it. */
async function openStage(row, browserName) {
  const { folder, hashes, paths } = makeFiles();
  const rig = await openRig({ root: folder, ...row.rig });
  const close = async () => {
    await rig.close();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const browser = await rig.launch(browserName, { preferences: row.preferences });
    const stage = { rig, folder, browser, browserName, paths, hashes, profiles: {}, close };
    const open = async (how = {}) => openBlank(await rig.context(browser), rig, how);
    stage.twin = await (await rig.context(browser)).open("/blank?off");
    stage.seeders = [];
    for (const seeder of row.seeders ?? [{}]) stage.seeders.push(await open(seeder));
    // Everybody gets all: what the first has, the others may take from it, lies and all.
    for (const seeder of stage.seeders)
      for (const path of paths) await (row.unattested ? timedFetch : holds)(seeder, path);
    rig.origin.throttle(LINE);
    stage.profiles.victim = await rig.context(browser);
    await row.prepareStage?.(stage);
    const how = typeof row.victim === "function" ? row.victim(stage) : row.victim;
    stage.victim = await openBlank(stage.profiles.victim, rig, how);
    await timedFetch(stage.victim, "/media/join.bin");
    await linked(stage.victim, row.linked ?? stage.seeders.length);
    return stage;
  } catch (error) {
    await close();
    throw error;
  }
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

/**
 * Plays one row.
 *
 * @returns `{ row, name, browser, ok, addedMs, allowedMs, equal, problem }`; `addedMs` is the median.
 */
export async function playRow(row, { browser = "chromium", samples = row.samples ?? 3 } = {}) {
  const { allowedMs, run = (page, path) => timedFetch(page, path), equal = sameAnswer } = row;
  const result = { row: row.row, name: row.name, browser, allowedMs };
  let stage;
  const added = [];
  try {
    stage = await (row.open ?? openStage)(row, browser);
    await row.inject?.(stage);
    for (const path of stage.paths.slice(0, samples)) {
      const twin = await run(stage.twin, path, stage);
      const running = run(stage.victim, path, stage);
      running.catch(() => undefined); // if the fault cannot be injected, that is what the row failed with
      await row.during?.(stage, path);
      const ours = await running;
      added.push(ours.ms - twin.ms);
      result.equal = equal(ours, twin, stage, path);
      assert.ok(result.equal, `got ${JSON.stringify(ours)}, the twin ${JSON.stringify(twin)}`);
      await row.check?.(stage, { ours, twin, path });
    }
    const errors = [stage.victim, ...stage.seeders].flatMap((page) => page.errors);
    assert.ok(errors.length === 0, `uncaught in a page: ${errors.join("; ")}`);
    result.addedMs = Math.round(median(added));
    result.ok = result.addedMs <= allowedMs + NOISE_MS;
    if (!result.ok) result.problem = `later by ${added.map(Math.round).join(", ")} ms`;
  } catch (error) {
    result.ok = false;
    result.problem = error.message.split("\n")[0];
  } finally {
    await row.end?.(stage);
    await stage?.close();
  }
  return result;
}
