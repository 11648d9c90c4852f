import { expect } from "chai";
import {
  ANNOUNCE_MAX_ASSETS,
  GROUPS_MAX,
  PEERS_PER_ANSWER_MAX,
  URL_MAX_LENGTH,
} from "../../../src/protocol/limits.js";
import { decodeServerMessage, decodeViewerMessage } from "../../../src/protocol/signal-decoder.js";
import type { ServerMessage, ViewerMessage } from "../../../src/protocol/signal-messages.js";
import { sampleAttestation } from "../../support/attestations.js";
import { mutationsOf } from "../../support/mutations.js";
import { fc } from "../../support/properties.js";

const ASSET_ID = "AAECAwQFBgcICQoLDA0ODw";
const PEER_ID = "peer-0123456789abcdef";
const GROUP = "https://cdn.example/live/";

const viewerMessages: readonly ViewerMessage[] = [
  { type: "join", q: 1, v: 1, groups: [GROUP] },
  { type: "leave", groups: [GROUP] },
  { type: "announce", add: [[ASSET_ID, "all"]], remove: [ASSET_ID], loadPercent: 50 },
  { type: "announce", add: [[ASSET_ID, [0, 3]]], remove: [], loadPercent: 0 },
  { type: "want", q: 2, url: `${GROUP}1.ts`, window: 0 },
  {
    ...{ type: "stats", cache: 1, mesh: 2, origin: 3, uploaded: 4, rejected: 0 },
    goodput: [[PEER_ID, 250_000]],
  },
  { type: "report", peerId: PEER_ID, reason: "corrupt" },
  { type: "report", peerId: PEER_ID, reason: "stalled" },
];

const REMOTE = {
  ...{ enabled: true, rampPercent: 100, minVersion: "1.2.3", include: [], exclude: [] },
  ...{ sealed: [], uploadMaxRate: 0, uploadMaxParallel: 0 },
};

const neighbourhood = {
  ...{ clique: 7, epoch: 19, around: [3, 12] },
  members: [[PEER_ID, 0, true] as const, [`${PEER_ID}1`, 2, false] as const],
  bridges: [[`${PEER_ID}2`, 1, true, 12] as const],
};

const serverMessages: readonly ServerMessage[] = [
  {
    type: "joined",
    q: 1,
    v: 1,
    id: PEER_ID,
    nowMs: 1_700_000_000_000,
    keys: [["k1", "A".repeat(43)]],
    iceServers: [{ urls: "turn:turn.example:3478", username: "u", credential: "c" }],
    neighbourhood,
    peers: [[PEER_ID, 1, 20]],
    config: REMOTE,
  },
  { type: "config", config: { ...REMOTE, include: ["/a/**"], exclude: ["https://a.example/b"] } },
  { type: "config", config: { ...REMOTE, sealed: ["/a/**", "https://a.example/b"] } },
  { type: "retry", withinMs: 30_000 },
  {
    type: "wanted",
    q: 2,
    url: `${GROUP}1.ts`,
    window: 0,
    attestation: sampleAttestation(),
    holders: [[PEER_ID, 0, 0]],
  },
  {
    type: "wanted",
    q: 2,
    url: `${GROUP}1.ts`,
    window: 0,
    refused: { reason: "Set-Cookie", retryMs: 60_000 },
    holders: [],
  },
  {
    ...{ type: "wanted", q: 2, url: `${GROUP}1.ts`, window: 0 },
    ...{ attestation: sampleAttestation(), seal: "s".repeat(43), holders: [] },
  },
  { type: "attested", attestation: sampleAttestation() },
  { type: "neighbours", neighbourhood },
  { type: "error", q: 1, code: "index/refused", message: "Cannot join" },
];

/** Keys that a message may lack; all others are required. */
const OPTIONAL = ["attestation", "seal", "refused", "username", "credential"];
const OPTIONAL_OF: Record<string, readonly string[]> = {
  error: ["q"],
  joined: ["neighbourhood"],
};
const optionalOf = (type: string) => [...OPTIONAL, ...(OPTIONAL_OF[type] ?? [])];

const nameOf = (message: { type: string }) => `"${message.type}"`;

function suite(
  name: string,
  decode: (value: unknown) => unknown,
  samples: readonly { type: string }[],
) {
  for (const message of samples) {
    it(`${name}() accepts ${nameOf(message)}: ${Object.keys(message).join(", ")}`, () => {
      const received: unknown = JSON.parse(JSON.stringify(message));
      expect(decode(received)).to.deep.equal(message);
    });

    it(`${name}() rejects ${nameOf(message)} with one field wrong: ${Object.keys(message).join(", ")}`, () => {
      const optional = message.type === "wanted" ? OPTIONAL : optionalOf(message.type);
      const mutations = [...mutationsOf(message, { optional })];
      expect(mutations.length).to.be.greaterThan(10);
      for (const { label, value } of mutations) {
        expect(() => decode(value), label)
          .to.throw()
          .with.property("code", "protocol/malformed");
      }
    });
  }

  it(`${name}() yields a message or throws protocol/malformed, whatever comes`, () => {
    const types = samples.map(({ type }) => type);
    const anyKey = fc.constantFrom("q", "v", "url", "groups", "__proto__", "payload");
    const anyMessage = fc
      .tuple(fc.constantFrom(...types), fc.dictionary(anyKey, fc.jsonValue()))
      .map(([type, fields]) => ({ type, ...fields }));
    fc.assert(
      fc.property(fc.oneof(anyMessage, fc.jsonValue()), (value) => {
        try {
          expect(decode(value)).to.equal(value);
        } catch (error) {
          expect(error).to.have.property("code", "protocol/malformed");
        }
      }),
    );
  });
}

const malformed = (decode: () => unknown, label: string) =>
  expect(decode, label).to.throw().with.property("code", "protocol/malformed");

describe("signal-decoder", () => {
  suite("decodeViewerMessage", decodeViewerMessage, viewerMessages);
  suite("decodeServerMessage", decodeServerMessage, serverMessages);

  it("decodeServerMessage() accepts messages without their optional fields", () => {
    const { q: _, ...error } = serverMessages.at(-1) as Extract<ServerMessage, { type: "error" }>;
    expect(decodeServerMessage(error)).to.equal(error);
    const joined = { ...serverMessages[0], iceServers: [{ urls: "stun:stun.example" }] };
    expect(decodeServerMessage(joined)).to.equal(joined);
    const wanted = { type: "wanted", q: 0, url: GROUP, window: 0, holders: [] };
    expect(decodeServerMessage(wanted)).to.equal(wanted);
  });

  it("decodeViewerMessage() knows no server message, and decodeServerMessage() none of a viewer", () => {
    for (const message of serverMessages)
      malformed(() => decodeViewerMessage(message), message.type);
    for (const message of viewerMessages)
      malformed(() => decodeServerMessage(message), message.type);
  });

  it("decodeViewerMessage() and decodeServerMessage() leave PeerJS's messages alone", () => {
    for (const type of ["HEARTBEAT", "OFFER", "ANSWER", "CANDIDATE", "OPEN", "LEAVE"]) {
      malformed(() => decodeViewerMessage({ type }), type);
      malformed(() => decodeServerMessage({ type }), type);
    }
    malformed(() => decodeViewerMessage({ type: "leave", groups: [], payload: {} }), "payload");
  });

  it("decodeViewerMessage() accepts lists and URLs up to their limits and no longer", () => {
    const join = (count: number) => ({
      type: "join",
      q: 0,
      v: 1,
      groups: Array(count).fill(GROUP),
    });
    const announce = (add: number, remove: number) => ({
      type: "announce",
      add: Array(add).fill([ASSET_ID, "all"]),
      remove: Array(remove).fill(ASSET_ID),
      loadPercent: 0,
    });
    const want = (length: number) => ({
      type: "want",
      q: 0,
      url: GROUP.padEnd(length, "x"),
      window: 0,
    });
    const good = [join(GROUPS_MAX), announce(256, 256), want(URL_MAX_LENGTH)];
    for (const message of good) expect(decodeViewerMessage(message)).to.equal(message);
    expect(ANNOUNCE_MAX_ASSETS).to.equal(256);
    for (const message of [
      join(GROUPS_MAX + 1),
      announce(257, 0),
      announce(0, 257),
      want(URL_MAX_LENGTH + 1),
    ]) {
      malformed(() => decodeViewerMessage(message), message.type);
    }
  });

  it("decodeServerMessage() accepts PEERS_PER_ANSWER_MAX peers and no more", () => {
    const joined = (count: number) => ({
      ...serverMessages[0],
      peers: Array(count).fill([PEER_ID, 2, 100]),
    });
    expect(decodeServerMessage(joined(PEERS_PER_ANSWER_MAX))).to.have.property("type", "joined");
    malformed(() => decodeServerMessage(joined(PEERS_PER_ANSWER_MAX + 1)), "one peer too many");
  });

  it("decodeViewerMessage() accepts only http and https URLs as wants and groups", () => {
    for (const url of ["javascript:alert(1)", "data:,x", "ftp://a/", "/live/", "", "xhttps://a/"]) {
      malformed(() => decodeViewerMessage({ type: "want", q: 0, url, window: 0 }), url);
      malformed(() => decodeViewerMessage({ type: "leave", groups: [url] }), url);
    }
  });

  it("decodeServerMessage() accepts only stun and turn URLs as ICE servers", () => {
    const joined = (urls: string) => ({ ...serverMessages[0], iceServers: [{ urls }] });
    for (const urls of ["stun:a", "stuns:a", "turn:a", "turns:a"]) {
      expect(decodeServerMessage(joined(urls))).to.have.property("type", "joined");
    }
    for (const urls of ["https://a", "", "xturn:a"]) {
      malformed(() => decodeServerMessage(joined(urls)), urls);
    }
  });

  it("decodeServerMessage() accepts distances 0 to 2 and loads 0 to 100", () => {
    const wanted = (distance: number, load: number) => ({
      type: "wanted",
      q: 0,
      url: GROUP,
      window: 0,
      holders: [[PEER_ID, distance, load]],
    });
    for (const [distance, load] of [
      [0, 0],
      [2, 100],
    ] as const) {
      expect(decodeServerMessage(wanted(distance, load))).to.have.property("type", "wanted");
    }
    malformed(() => decodeServerMessage(wanted(3, 0)), "distance 3");
    malformed(() => decodeServerMessage(wanted(0, 101)), "load 101");
  });
});
