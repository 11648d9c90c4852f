/**
 * Malice in real browsers: in each seed all peers of a viewer are evil, in ways drawn from the seed. The bytes that the
 * viewer gets are the origin's, and the last one comes at most {@link ALLOWED_MS} after that of a twin without
 * Nearcast at the 95th percentile.
 * @module
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { holds, linked, openBlank, openRig, stats } from "../e2e/support/rig.mjs";
import { misbehave } from "./evil-peer.mjs";
import { LINE, timedFetch } from "./frame.mjs";

export const ALLOWED_MS = 250;
const EVIL_PEERS = 2;
const FILE_BYTES = 2 ** 20;

/** A repeatable number from 0 to 1 for each call. */
function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const VICES = [
  (random) => ({ corrupt: 0.2 + 0.8 * random() }),
  (random) => ({ refuse: 0.2 + 0.8 * random() }),
  (random) => ({ stallAt: random() }),
  () => ({ stallAt: 0.99 }),
  (random) => ({ bytesPerS: 500 + 50_000 * random() }),
  (random) => ({ misplace: 0.1 + 0.9 * random() }),
  (random) => ({ garble: 0.1 + 0.9 * random() }),
  (random) => ({ flood: 1 + Math.floor(20 * random()) }),
  (random) => ({ lie: 1, refuse: random() }),
];

/** One or two vices. */
function scriptOf(random, seed) {
  const pick = () => VICES[Math.floor(random() * VICES.length)](random);
  return { seed, ...pick(), ...(random() < 0.3 && pick()) };
}

/**
 * Plays seeds `from` to `from + count - 1`.
 *
 * @param onSeed Told of each one as it ends: `{ seed, scripts, addedMs, equal, bent, rejected, errors }`.
 * @returns `{ results, wrong, p95Ms }`: `wrong` seeds had other bytes than the origin's, or an uncaught error.
 */
export async function playMalice({ count, from = 1, onSeed = () => undefined }) {
  const root = mkdtempSync(join(tmpdir(), "nearcast-malice-"));
  const bytes = randomBytes(FILE_BYTES);
  const hash = createHash("sha256").update(bytes).digest("hex");
  for (const name of ["file", "join"]) writeFileSync(join(root, `${name}.bin`), bytes);
  const rig = await openRig({ root });
  const results = [];
  try {
    const browser = await rig.launch();
    const twin = await (await rig.context(browser)).open("/blank?off");
    for (let seed = from; seed < from + count; seed++) {
      const result = await playSeed({ rig, browser, twin, seed, hash });
      results.push(result);
      onSeed(result);
    }
  } finally {
    await rig.close();
    rmSync(root, { recursive: true, force: true });
  }
  const added = results.map(({ addedMs }) => addedMs).sort((a, b) => a - b);
  return {
    results,
    wrong: results.filter(({ equal, errors }) => !equal || errors.length > 0),
    p95Ms: added[Math.ceil(added.length * 0.95) - 1],
  };
}

async function playSeed({ rig, browser, twin, seed, hash }) {
  const random = randomOf(seed);
  const scripts = Array.from({ length: EVIL_PEERS }, () => scriptOf(random, seed));
  // A file of its own for each seed, by query, so that nobody has met it or its holders before.
  const path = `/media/file.bin?seed=${seed}`;
  const contexts = [];
  const open = async (how) => {
    const context = await rig.context(browser);
    contexts.push(context);
    return openBlank(context, rig, how);
  };
  try {
    rig.origin.throttle({});
    const evil = [];
    for (const argument of scripts) evil.push(await open({ prepare: misbehave, argument }));
    for (const page of evil) await holds(page, path);
    rig.origin.throttle(LINE);
    const theirs = await timedFetch(twin, path);
    const victim = await open();
    await timedFetch(victim, `/media/join.bin?seed=${seed}`);
    await linked(victim, 1).catch(() => undefined); // thrown out already: that is fine
    const ours = await timedFetch(victim, path);
    const bent = await Promise.all(evil.map((page) => page.evaluate(() => window.bent)));
    return {
      ...{ seed, scripts, addedMs: Math.round(ours.ms - theirs.ms) },
      equal: ours.status === 200 && ours.hash === hash && theirs.hash === hash,
      bent: bent.reduce((sum, count) => sum + count, 0),
      rejected: (await stats(victim)).bytes.rejected,
      errors: victim.errors,
    };
  } finally {
    for (const { browser: context } of contexts) await context.close();
  }
}
