// What the tests of several nodes share: nodes with one key and one Redis, and waiting for what spreads.
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { redisFor } from "../support/redis.mjs";
import { folderFor, serverFor } from "./support.mjs";

export const GROUP = "http://origin.test/film/";
export const ASSET = "AAAAAAAAAAAAAAAAAAAAAA";
const LIMIT_MS = 10_000;

/** A Redis and `count` nodes of one deployment. */
export async function nodesFor(t, { count = 2, redis, options = {} } = {}) {
  const own = redis ?? (await redisFor(t));
  const keyFile = join(await folderFor(t), "key.pem");
  const nodes = [];
  for (let n = 0; n < count; n++) {
    nodes.push(await serverFor(t, { keyFile, redis: own.url, ...options }));
  }
  return { redis: own, nodes, keyFile };
}

/** Asks until the answer fits; what spreads between nodes is there with the next flush. */
export async function eventually(ask, fits, what = String(fits)) {
  const endMs = Date.now() + LIMIT_MS;
  for (;;) {
    const answer = await ask();
    if (fits(answer)) return answer;
    if (Date.now() > endMs) {
      throw new Error(
        `It did not come true: ${what}; last ${JSON.stringify(answer)?.slice(0, 400)}`,
      );
    }
    await sleep(100); // a socket may say 30 things a second
  }
}

/** Ids of the holders that a viewer is told of. */
export async function holdersFor(viewer, assetId = ASSET, window = 0) {
  const answer = await viewer.ask({
    type: "want",
    url: "http://elsewhere.test/file.bin",
    window,
    assetId,
  });
  return answer.holders.map(([id]) => id);
}

export async function health(node) {
  const response = await fetch(`${node.url}/healthz`);
  return { code: response.status, ...(await response.json()) };
}

/** One sample of /metrics, labels included in the name. */
export async function metric(node, name) {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  const line = text.split("\n").find((entry) => entry.startsWith(`${name} `));
  return line === undefined ? 0 : Number(line.split(" ").at(-1));
}

export const isOpen = ({ ws }) => ws.readyState === ws.OPEN;
