/** Rows 1 to 8: peers that leave, lie, stall and send rubbish. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stats, until } from "../../e2e/support/rig.mjs";
import { misbehave } from "../evil-peer.mjs";
import { FILE_BYTES, SLOW_PEER, SLOW_PEER_MS } from "../frame.mjs";

const evil = (script) => ({ prepare: misbehave, argument: script });

/** The fault really happened: each evil peer bent what it sent. */
async function bent({ seeders }) {
  for (const seeder of seeders)
    assert.ok((await seeder.evaluate(() => window.bent)) > 0, "the peer was asked and misbehaved");
}

/** As {@link bent}, and the peer has lost its link for it. */
async function cutOff(stage) {
  await bent(stage);
  assert.equal((await stats(stage.victim)).links, 0, "the link is closed");
}

/**
 * After the peer has the old ones, and before the victim comes. A shared cache may give the old one for as long as the
 * origin called it fresh; the index looks again every two seconds.
 */
const replacedBefore = {
  prepareStage: (stage) => {
    for (const path of stage.paths) {
      writeFileSync(join(stage.folder, path.split("/").at(-1)), randomBytes(FILE_BYTES));
    }
  },
  equal: (ours, twin, { hashes }, path) =>
    ours.status === 200 && [twin.hash, hashes[path]].includes(ours.hash),
  check: ({ hashes }, { twin, path }) =>
    assert.notEqual(twin.hash, hashes[path], "the file has another version now"),
};

export const peerRows = [
  {
    row: 1,
    name: "a peer vanishes in the middle of a piece",
    allowedMs: 250,
    fast: true,
    samples: 1,
    // Slow enough that it is at work when it goes.
    seeders: [{ options: { "upload-max-rate": 2_000_000 } }],
    async during({ seeders, victim }) {
      await until(victim, () => window.nearcast.stats().bytes.mesh > 0);
      await seeders[0].close();
      seeders.length = 0;
    },
  },
  {
    row: 2,
    name: "a peer corrupts one bit of every piece",
    allowedMs: 300,
    fast: true,
    samples: 1,
    seeders: [evil({ corrupt: 1 })],
    async check(stage) {
      await cutOff(stage);
      const { bytes } = await stats(stage.victim);
      assert.ok(bytes.rejected > 0, "the wrong piece came and was thrown away");
    },
  },
  {
    row: 3,
    name: "a peer stalls: no block of what it was asked for",
    allowedMs: 250,
    fast: true,
    samples: 1,
    seeders: [evil({ stallAt: 0 })],
    check: bent,
  },
  {
    row: 3,
    name: "a peer stalls at 99 %: the last block of each piece is missing",
    allowedMs: 250,
    samples: 1,
    seeders: [evil({ stallAt: 0.99 })],
    check: bent,
  },
  {
    row: 4,
    name: "a peer sends 1 KB/s",
    allowedMs: 500,
    samples: 1,
    seeders: [evil({ bytesPerS: 1_000 })],
    check: bent,
  },
  {
    row: 5,
    name: "a peer tells of pieces that it has not",
    allowedMs: 250,
    samples: 1,
    seeders: [evil({ refuse: 1 })],
    check: bent,
  },
  {
    row: 6,
    name: "a peer sends bytes that nobody asked for",
    allowedMs: 250,
    samples: 1,
    seeders: [evil({ flood: 50 })],
    check: cutOff,
  },
  {
    row: 6,
    name: "a peer sends blocks at wrong offsets",
    allowedMs: 250,
    samples: 1,
    seeders: [evil({ misplace: 1 })],
    check: cutOff,
  },
  {
    row: 6,
    name: "a peer sends frames that are none",
    allowedMs: 250,
    samples: 1,
    seeders: [evil({ garble: 1 })],
    check: cutOff,
  },
  {
    row: 7,
    name: "all peers are evil, each in its own way",
    allowedMs: 250,
    fast: true,
    seeders: [
      evil({ corrupt: 1 }),
      evil({ stallAt: 0.99 }),
      evil({ refuse: 1 }),
      evil({ bytesPerS: 1_000 }),
    ],
  },
  {
    row: 8,
    name: "a peer sends an old segment's bytes for each new one",
    allowedMs: 300,
    fast: true,
    samples: 1,
    seeders: [evil({ replay: 1 })],
    async check(stage) {
      await cutOff(stage);
      assert.ok((await stats(stage.victim)).bytes.rejected > 0, "the old bytes came");
    },
  },
  {
    row: 8,
    name: "a peer holds the old version of a file that was replaced: one version, never both",
    ...{ allowedMs: 250, ...replacedBefore },
  },
  {
    // The origin is asked to help, and has another version: the peer brings the rest in the time that it needs.
    row: 8,
    name: "a slow peer holds the old version of a file that was replaced",
    allowedMs: SLOW_PEER_MS,
    fast: true,
    samples: 1,
    ...{ ...replacedBefore, seeders: SLOW_PEER },
  },
];
