/** Rows 34 to 37: the disk is full, is cleared, never opens, or forgets bits. */
import assert from "node:assert/strict";
import { linked, soon, stats } from "../../e2e/support/rig.mjs";
import { clearDatabases } from "../firefox.mjs";
import { timedFetch, workerWith } from "../frame.mjs";

const CHROMIUM = ["chromium"];
const PIECE_BYTES = 65_536;

/** Runs in the page and in the worker: databases are there, as after an earlier visit, and never open. */
function noDatabase() {
  IDBFactory.prototype.open = () => new EventTarget();
  IDBFactory.prototype.databases = async () =>
    ["assets", "windows", "pieces", "config"].map((name) => ({
      name: `nearcast-${name}`,
      version: 1,
    }));
}

/** How many pieces a profile has on disk; read from the page, as the store's own pages would. */
const piecesOnDisk = (page) =>
  page.evaluate(async () => {
    // Opening what is not there would make it, and Nearcast would find it empty of stores.
    const made = (await indexedDB.databases()).some(({ name }) => name === "nearcast-pieces");
    if (!made) return 0;
    const opened = Promise.withResolvers();
    const request = indexedDB.open("nearcast-pieces");
    request.onsuccess = () => opened.resolve(request.result);
    request.onerror = () => opened.reject(request.error);
    const database = await opened.promise;
    try {
      const counted = Promise.withResolvers();
      const keys = database.transaction("pieces").objectStore("pieces").getAllKeys();
      keys.onsuccess = () => counted.resolve(keys.result);
      return (await counted.promise).filter((key) => !key.endsWith(" tails")).length;
    } finally {
      database.close();
    }
  });

/** One bit of every fifth piece on disk turns, without any trace. @returns How many. */
const rot = (page) =>
  page.evaluate(async () => {
    const opened = Promise.withResolvers();
    const request = indexedDB.open("nearcast-pieces");
    request.onsuccess = () => opened.resolve(request.result);
    const database = await opened.promise;
    const done = Promise.withResolvers();
    const transaction = database.transaction("pieces", "readwrite");
    transaction.oncomplete = () => done.resolve();
    transaction.onabort = () => done.reject(transaction.error);
    let turned = 0;
    const walk = transaction.objectStore("pieces").openCursor();
    walk.onsuccess = () => {
      const cursor = walk.result;
      if (!cursor) return;
      if (Number(cursor.key.split(" ")[2]) % 5 === 3) {
        const bytes = cursor.value;
        bytes[1_000] ^= 4;
        cursor.update(bytes);
        turned++;
      }
      cursor.continue();
    };
    await done.promise;
    database.close();
    return turned;
  });

/** The page is loaded anew: what was in memory is gone, and what it holds is what is on disk. */
async function afterRot(page, { paths }) {
  const whole = (paths.length * 2 ** 20) / PIECE_BYTES;
  await soon(async () => (await piecesOnDisk(page)) >= whole, "all files are on disk");
  assert.ok((await rot(page)) >= paths.length, "bits have turned in every file");
  await page.reload();
  await page.evaluate(() => window.ready);
}

export const diskRows = [
  {
    row: 34,
    name: "the disk's quota is exceeded",
    allowedMs: 0,
    browsers: CHROMIUM,
    inject: async ({ victim, rig }) => {
      const session = await victim.createCDPSession();
      await session.send("Storage.overrideQuotaForOrigin", { origin: rig.url, quotaSize: 1 });
    },
  },
  {
    row: 34,
    name: "the disk's quota is smaller than what there is to store",
    allowedMs: 0,
    browsers: ["firefox"],
    // Kilobytes, for peers as well; with half a megabyte there would be no room for the worker itself.
    preferences: { "dom.quotaManager.temporaryStorage.fixedLimit": 4_096 },
    linked: 0,
    check: async ({ victim }) => {
      const { quota } = await victim.evaluate(() => navigator.storage.estimate());
      assert.ok(quota <= 4_096 * 1_024, `the quota is ${quota} bytes`);
    },
  },
  {
    row: 35,
    name: "the disk is cleared between requests",
    allowedMs: 0,
    inject: async ({ victim, rig, browserName }) => {
      if (browserName === "firefox") return clearDatabases(victim);
      const session = await victim.createCDPSession();
      const storageTypes = "indexeddb";
      await session.send("Storage.clearDataForOrigin", { origin: rig.url, storageTypes });
    },
  },
  {
    row: 36,
    name: "databases never open, neither in the page nor in the worker",
    allowedMs: 200,
    fast: true,
    samples: 1,
    linked: 0,
    rig: workerWith(`(${noDatabase})()`),
    victim: { prepare: noDatabase },
  },
  {
    row: 37,
    name: "bits of stored pieces turn: the page gets them from the origin",
    allowedMs: 0,
    seeders: [],
    inject: async (stage) => {
      for (const path of stage.paths) await timedFetch(stage.victim, path);
      await afterRot(stage.victim, stage);
    },
    check: async ({ victim }) => {
      const { bytes } = await stats(victim);
      assert.ok(bytes.cache > 0, "what is good comes from the disk");
      assert.ok(bytes.origin > 0, "what is rotten does not");
    },
  },
  {
    row: 37,
    name: "bits of pieces turn that a peer has stored: it serves none of them",
    allowedMs: 250,
    fast: true,
    inject: async (stage) => {
      const [seeder] = stage.seeders;
      await afterRot(seeder, stage);
      // Its mesh begins with a request that its disk cannot answer.
      await timedFetch(seeder, "/media/join.bin?again");
      await linked(seeder, 1);
      await linked(stage.victim, 1);
    },
    check: async ({ victim }) => {
      const { bytes } = await stats(victim);
      assert.ok(bytes.mesh > 0, "what is good comes from the peer");
      assert.equal(bytes.rejected, 0, "the peer looks before it sends");
    },
  },
];
