import { expect } from "chai";
import { NearcastError } from "../../../src/core/errors.js";
import { IndexClient } from "../../../src/mesh/signaling/index-client.js";
import { ANNOUNCE_MAX_ASSETS, GROUPS_MAX, PROTOCOL_VERSION } from "../../../src/protocol/limits.js";
import type { HeldWindows, ViewerMessage } from "../../../src/protocol/signal-messages.js";
import { type FakeTimers, withFakeTimers } from "../../support/fake-timers.js";
import { rejection, settle } from "../../support/waiting.js";

const URL_A = "https://cdn.example/a/1.ts";
const idOf = (index: number) => `asset${index}`.padEnd(22, "_");
type Sent<T> = Extract<ViewerMessage, { type: T }>;

const REMOTE = {
  ...{ enabled: true, rampPercent: 100, minVersion: "", include: [], exclude: [] },
  ...{ sealed: [], uploadMaxRate: 0, uploadMaxParallel: 0 },
};

/** A client on a socket that the test opens and closes. */
function setUp(
  timers: FakeTimers,
  { open = true, joinToken }: { open?: boolean; joinToken?: () => Promise<string> } = {},
) {
  const sent: { atMs: number; message: ViewerMessage }[] = [];
  const errors: unknown[] = [];
  const heard: unknown[] = [];
  const refusals: unknown[] = [];
  const held = new Map<string, HeldWindows>();
  const stats = { cache: 0, mesh: 0, origin: 0, uploaded: 0, rejected: 0, goodput: [] };
  const socket = { open };
  const stop = new AbortController();
  const client = new IndexClient({
    send: (message) => {
      if (socket.open) sent.push({ atMs: timers.nowMs, message: message as ViewerMessage });
      return socket.open;
    },
    isOpen: () => socket.open,
    joinToken,
    handlers: {
      onJoined: (message) => heard.push(message),
      onAttested: (attestation) => heard.push(attestation),
      onConfig: (config) => heard.push(config),
      onRetry: (withinMs) => heard.push(withinMs),
      onRefused: (error) => refusals.push(error),
      onNeighbours: (neighbourhood) => heard.push(neighbourhood),
      onError: (error) => errors.push(error),
    },
    holdings: () => held.keys(),
    held: (assetId) => held.get(assetId),
    loadPercent: () => 7,
    takeStats: () => ({ ...stats }),
    signal: stop.signal,
  });
  const sentOf = <T extends ViewerMessage["type"]>(type: T) =>
    sent.flatMap(({ message }) => (message.type === type ? [message as Sent<T>] : []));
  const announced = () => sent.filter(({ message }) => message.type === "announce");
  const wanted = (q: number) => ({ type: "wanted", q, url: URL_A, window: 0, holders: [] });
  return {
    ...{ client, sent, sentOf, announced, wanted, errors, heard, refusals, held, stats, socket },
    stop,
  };
}

const codeOf = async (promise: Promise<unknown>) =>
  ((await rejection(promise)) as { code?: string }).code;

describe("index-client", () => {
  it("IndexClient.announce() gathers changes and says them at most once a second", async () => {
    await withFakeTimers(async (timers) => {
      const { client, held, announced } = setUp(timers);
      for (let index = 0; index < 3; index++) {
        held.set(idOf(index), "all");
        client.announce(idOf(index));
        client.announce(idOf(index));
        await timers.advance(100);
      }
      held.delete(idOf(0));
      held.set(idOf(1), [0, 2]);
      await timers.advance(699);
      expect(announced()).to.deep.equal([]);
      await timers.advance(1);
      expect(announced()).to.deep.equal([
        {
          atMs: 1_000,
          message: {
            type: "announce",
            add: [
              [idOf(1), [0, 2]],
              [idOf(2), "all"],
            ],
            remove: [idOf(0)],
            loadPercent: 7,
          },
        },
      ]);
      client.announce(idOf(2));
      await timers.advance(10_000);
      expect(announced().map(({ atMs }) => atMs)).to.deep.equal([1_000, 2_000]);
    });
  });

  it("IndexClient splits a long announcement into batches, one a second", async () => {
    await withFakeTimers(async (timers) => {
      const { client, held, announced } = setUp(timers);
      const count = 2 * ANNOUNCE_MAX_ASSETS + 5;
      for (let index = 0; index < count; index++) held.set(idOf(index), "all");
      client.opened();
      await timers.advance(10_000);
      const batches = announced().map(({ atMs, message }) => [
        atMs,
        message.type === "announce" ? message.add.length : 0,
      ]);
      expect(batches).to.deep.equal([
        [0, ANNOUNCE_MAX_ASSETS],
        [1_000, ANNOUNCE_MAX_ASSETS],
        [2_000, 5],
      ]);
    });
  });

  it("IndexClient.opened() says everything again: groups and all holdings", async () => {
    await withFakeTimers(async (timers) => {
      const { client, held, socket, sent } = setUp(timers, { open: false });
      client.join("https://cdn.example/a/");
      client.announce(idOf(5));
      held.set(idOf(1), "all");
      await timers.advance(2_000);
      expect(sent).to.deep.equal([]);
      socket.open = true;
      for (let round = 1; round <= 2; round++) {
        client.opened();
        const messages = sent.splice(0).map(({ message }) => message);
        expect(messages).to.deep.equal([
          { type: "join", q: round, v: PROTOCOL_VERSION, groups: ["https://cdn.example/a/"] },
          { type: "announce", add: [[idOf(1), "all"]], remove: [], loadPercent: 7 },
        ]);
        client.closed();
      }
    });
  });

  it("IndexClient.want() asks once for the same window and answers all who asked", async () => {
    await withFakeTimers(async (timers) => {
      const { client, sentOf, wanted } = setUp(timers);
      const wants = [client.want(URL_A, 0), client.want(URL_A, 0)];
      const other = client.want(URL_A, 1);
      await settle();
      const questions = sentOf("want");
      expect(questions.map(({ window }) => window)).to.deep.equal([0, 1]);
      expect(client.asking).to.equal(true);
      client.receive({ ...wanted(questions[1]?.q ?? 0), window: 1 });
      client.receive(wanted(questions[0]?.q ?? 0));
      client.receive(wanted(questions[0]?.q ?? 0));
      expect((await Promise.all(wants)).map(({ window }) => window)).to.deep.equal([0, 0]);
      expect((await other).window, "matched by q, not by order").to.equal(1);
      expect(client.asking).to.equal(false);
      void client.want(URL_A, 0).catch(() => undefined);
      await settle();
      expect(sentOf("want"), "an answered question is asked anew").to.have.length(3);
    });
  });

  it("IndexClient.want() rejects when the index refuses, is silent, or the socket closes", async () => {
    await withFakeTimers(async (timers) => {
      const { client, sentOf, errors, wanted } = setUp(timers);
      const refused = codeOf(client.want(URL_A, 0));
      await settle();
      const q = sentOf("want")[0]?.q;
      client.receive({ type: "error", q, code: "rate", message: "slow down" });
      expect(await refused).to.equal("index/refused");

      const silent = codeOf(client.want(URL_A, 0));
      await timers.advance(4_999);
      expect(client.asking).to.equal(true);
      await timers.advance(1);
      expect(await silent).to.equal("index/refused");
      client.receive(wanted(sentOf("want").at(-1)?.q ?? 0)); // too late, and harmless

      const cut = codeOf(client.want(URL_A, 0));
      await settle();
      client.closed();
      expect(await cut).to.equal("index/closed");

      const confused = codeOf(client.want(URL_A, 0));
      await settle();
      client.receive({
        ...{ type: "joined", q: sentOf("want").at(-1)?.q, v: 1, id: "viewer-1", nowMs: 1 },
        ...{ keys: [], iceServers: [], peers: [], config: REMOTE },
      });
      expect(await confused).to.equal("index/refused");
      expect(errors).to.deep.equal([]);
    });
  });

  it("IndexClient.want() waits for a socket that is down, no longer than for an answer", async () => {
    await withFakeTimers(async (timers) => {
      const { client, socket, sentOf, wanted } = setUp(timers, { open: false });
      const want = client.want(URL_A, 0);
      await timers.advance(3_000);
      socket.open = true;
      client.opened();
      await settle();
      client.receive(wanted(sentOf("want")[0]?.q ?? 0));
      expect((await want).url).to.equal(URL_A);
      socket.open = false;
      client.closed();
      const late = codeOf(client.want(URL_A, 0));
      await timers.advance(5_000);
      expect(await late).to.equal("index/closed");
    });
  });

  it("IndexClient.join() enters a group once and leaves the oldest of too many", async () => {
    await withFakeTimers(async (timers) => {
      const { client, sentOf } = setUp(timers);
      const group = (index: number) => `https://cdn.example/${index}/`;
      for (let index = 0; index < GROUPS_MAX; index++) client.join(group(index));
      client.join(group(0));
      expect(sentOf("join")).to.have.length(GROUPS_MAX);
      expect(sentOf("leave")).to.deep.equal([]);
      client.join(group(GROUPS_MAX));
      expect(sentOf("leave")).to.deep.equal([{ type: "leave", groups: [group(0)] }]);
      expect(client.groups.length).to.equal(GROUPS_MAX);
      expect(sentOf("join").at(-1)?.groups).to.have.length(GROUPS_MAX).that.includes(group(32));
      client.refresh();
      expect(sentOf("join")).to.have.length(GROUPS_MAX + 2);
      client.closed();
      await settle();
    });
  });

  it("IndexClient tells handlers of joins, errors and what it cannot read", async () => {
    await withFakeTimers(async (timers) => {
      const { client, errors, heard } = setUp(timers);
      client.receive({
        ...{ type: "joined", q: 99, v: 1, id: "viewer-1", nowMs: 1, keys: [], iceServers: [] },
        ...{ peers: [], config: REMOTE },
      });
      expect(heard).to.have.length(1);
      client.receive({ type: "error", code: "banned", message: "no" });
      client.receive({ type: "wanted", q: "1" });
      client.receive(undefined);
      expect(errors.map((error) => (error as { code: string }).code)).to.deep.equal([
        ...["index/refused", "protocol/malformed", "protocol/malformed"],
      ]);
    });
  });

  it("IndexClient sends statistics every five seconds while there is something to tell", async () => {
    await withFakeTimers(async (timers) => {
      const { client, stats, sentOf, socket, stop } = setUp(timers);
      await timers.advance(5_000);
      expect(sentOf("stats"), "nothing to tell").to.deep.equal([]);
      stats.mesh = 5;
      await timers.advance(5_000);
      expect(sentOf("stats")).to.deep.equal([{ type: "stats", ...stats }]);
      socket.open = false;
      await timers.advance(5_000);
      expect(sentOf("stats")).to.have.length(1);
      client.announce(idOf(1));
      stop.abort();
      expect(timers.pending, "no timer outlives the client").to.equal(0);
    });
  });

  it("IndexClient.opened() shows one fresh join token per socket, and says nothing before it is let in", async () => {
    await withFakeTimers(async (timers) => {
      let minted = 0;
      const joinToken = async () => `nc1.token${++minted}`;
      const { client, held, sent, sentOf, socket } = setUp(timers, { joinToken });
      held.set(idOf(1), "all");
      client.join("https://cdn.example/a/");
      const want = client.want(URL_A, 0);
      for (const round of [1, 2]) {
        client.opened();
        await settle();
        expect(sent.map(({ message }) => message.type)).to.deep.equal(["join"]);
        const [join] = sentOf("join");
        expect(join).to.include({ token: `nc1.token${round}` });
        client.receive({
          ...{ type: "joined", q: join?.q, v: 1, id: "viewer-1", nowMs: 1, keys: [] },
          ...{ iceServers: [], peers: [], config: REMOTE },
        });
        await settle();
        expect(sentOf("announce")).to.have.length(1);
        client.refresh();
        expect(sentOf("join").at(-1)).not.to.have.property("token");
        expect(sentOf("want")).to.have.length(round === 1 ? 1 : 0);
        client.closed();
        sent.length = 0;
      }
      expect(await codeOf(want)).to.equal("index/closed");
      expect(socket.open).to.equal(true);
    });
  });

  it("IndexClient tells when it is refused for want of a token, whoever says so", async () => {
    await withFakeTimers(async (timers) => {
      const none = setUp(timers);
      none.client.join("https://cdn.example/a/");
      const q = none.sentOf("join")[0]?.q;
      none.client.receive({ type: "error", q, code: "index/token", message: "missing" });
      await settle();
      expect(none.refusals).to.have.length(1);
      expect(none.errors).to.deep.equal([]);

      const broken = setUp(timers, {
        joinToken: async () => {
          throw new NearcastError("index/token", "no token");
        },
      });
      broken.client.opened();
      await settle();
      expect(broken.refusals).to.have.length(1);
      expect(broken.sent).to.deep.equal([]);
    });
  });

  it("IndexClient hands on the operator's settings and the request to come back later", async () => {
    await withFakeTimers(async (timers) => {
      const { client, heard } = setUp(timers);
      client.receive({ type: "config", config: REMOTE });
      client.receive({ type: "retry", withinMs: 5_000 });
      expect(heard).to.deep.equal([REMOTE, 5_000]);
    });
  });

  it("IndexClient.consumed() puts the group first of which most comes in, and says so when it changes", async () => {
    await withFakeTimers(async (timers) => {
      const { client, sentOf, stop } = setUp(timers);
      const [pictures, film] = ["https://cdn.example/img/", "https://cdn.example/film/"];
      client.join(pictures);
      client.join(film);
      expect(sentOf("join").at(-1)?.groups, "the newest first").to.deep.equal([film, pictures]);
      client.consumed(pictures, 300_000);
      client.consumed("https://cdn.example/unknown/", 900_000);
      await timers.advance(5_000);
      expect(sentOf("join").at(-1)?.groups).to.deep.equal([pictures, film]);
      client.consumed(film, 500_000);
      await timers.advance(5_000);
      expect(sentOf("join"), "not clearly more").to.have.length(3);
      client.consumed(film, 500_000);
      await timers.advance(5_000);
      expect(sentOf("join").at(-1)?.groups).to.deep.equal([film, pictures]);
      await timers.advance(600_000);
      expect(sentOf("join")).to.have.length(4);
      client.consumed(pictures, 65_536);
      await timers.advance(5_000);
      expect(sentOf("join").at(-1)?.groups, "long ago counts little").to.deep.equal([
        ...[pictures, film],
      ]);
      stop.abort();
    });
  });

  it("IndexClient hands on what the server says of neighbours", async () => {
    await withFakeTimers(async (timers) => {
      const { client, heard, stop } = setUp(timers);
      const neighbourhood = { clique: 1, epoch: 2, members: [], bridges: [], around: [] };
      client.receive({ type: "neighbours", neighbourhood });
      expect(heard).to.deep.equal([neighbourhood]);
      stop.abort();
    });
  });

  it("IndexClient.paused leaves all groups, joins none, and enters them again", async () => {
    await withFakeTimers(async (timers) => {
      const { client, sentOf, stop } = setUp(timers);
      client.paused = true;
      client.paused = false;
      const groups = ["https://cdn.example/b/", "https://cdn.example/a/"];
      for (const group of [...groups].reverse()) client.join(group);
      client.paused = true;
      client.paused = true;
      expect(sentOf("leave").map(({ groups }) => new Set(groups))).to.deep.equal([new Set(groups)]);
      client.opened();
      expect(sentOf("join").at(-1)?.groups).to.deep.equal([]);
      client.paused = false;
      expect(sentOf("join").at(-1)?.groups).to.deep.equal(groups);
      stop.abort();
    });
  });
});
