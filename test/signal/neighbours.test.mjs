// Cliques as viewers see them: every test is many raw sockets that only listen to what they are told.
import assert from "node:assert/strict";
import test from "node:test";
import { seeded, serverFor, viewerFor } from "./support.mjs";

const GROUP = "http://origin.test/film/";
const LIMIT_MS = 8_000;

/** A crowd of viewers; each keeps the last neighbourhood it heard and when. */
async function setUp(t, options = {}) {
  const server = await serverFor(t, { socketsPerAddressMax: 1_000, ...options });
  const present = new Set();
  let check = () => {};
  const enter = async (localAddress = "127.0.0.1", groups = [GROUP]) => {
    const viewer = await viewerFor(t, server, { localAddress });
    const member = { viewer, id: viewer.id, place: localAddress, told: [], view: undefined };
    viewer.ws.on("message", (data) => {
      const { type, neighbourhood } = JSON.parse(String(data));
      if (type !== "neighbours" && type !== "joined") return;
      if (neighbourhood) member.view = neighbourhood;
      if (type === "neighbours") member.told.push(performance.now());
      check();
    });
    present.add(member);
    if (groups.length > 0) await viewer.join(...groups);
    return member;
  };
  const exit = async (member) => {
    present.delete(member);
    member.viewer.ws.terminate();
    await member.viewer.closed;
  };
  /** Resolves once `fits`, which returns what is wrong or nothing, is content. */
  const until = (fits) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`Cannot see it: ${fits()}`)), LIMIT_MS);
      check = () => {
        if (fits() !== undefined) return;
        clearTimeout(timer);
        check = () => {};
        resolve();
      };
      check();
    });
  return { server, present, enter, exit, until };
}

const peersOf = ({ view }) => [...view.members, ...view.bridges].map(([id]) => id);

/** What is wrong with what the present viewers were told, if anything. */
function objectionTo(present) {
  const silent = [...present].find(({ view }) => !view);
  if (silent) return `${silent.id} was told nothing`;
  const cliques = groupBy(present, ({ view }) => view.clique);
  const byId = new Map([...present].map((member) => [member.id, member]));
  for (const member of present) {
    const objection = objectionToOne(member, cliques.get(member.view.clique), byId);
    if (objection) return objection;
  }
  const sizes = [...cliques.values()].map(({ length }) => length);
  if (Math.max(...sizes) > 16) return `sizes ${sizes}`;
  if (sizes.length > 1 && Math.min(...sizes) < 6) return `sizes ${sizes}`;
  const reached = reachedFrom([...cliques.keys()][0], cliques);
  return reached.size === cliques.size ? undefined : `${reached.size} of ${cliques.size} reached`;
}

function groupBy(items, keyOf) {
  const groups = new Map();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

function objectionToOne({ id, view }, clique, byId) {
  const expected = clique.map((member) => member.id).filter((other) => other !== id);
  const members = view.members.map(([other]) => other);
  if (String(members.sort()) !== String(expected.sort())) return `${members.length} members`;
  for (const [other, distance, dials] of [...view.members, ...view.bridges]) {
    const back = byId.get(other)?.view;
    const same = back && [...back.members, ...back.bridges].find(([peer]) => peer === id);
    if (!same) return `${id} is not known to ${other}`;
    if (same[1] !== distance || same[2] === dials) return "a pair does not agree";
  }
  for (const [other, , , number] of view.bridges) {
    if (byId.get(other).view.clique !== number) return "a bridge leads elsewhere";
    if (!view.around.includes(number)) return "a bridge is not known";
  }
  return undefined;
}

function reachedFrom(first, cliques) {
  const reached = new Set([first]);
  for (const number of reached) {
    for (const { view } of cliques.get(number) ?? [])
      for (const next of view.around) reached.add(next);
  }
  return reached;
}

test("up to sixteen viewers are one clique: each is told of all others, and one of two dials", async (t) => {
  const { present, enter, until } = await setUp(t);
  const first = await enter();
  assert.deepEqual(first.view.members, []);
  const second = await enter();
  assert.deepEqual(
    second.view.members.map(([id, , dials]) => [id, dials]),
    [[first.id, true]],
    "the newcomer is told in the answer, and dials",
  );
  while (present.size < 16) await enter();
  await until(() => objectionTo(present));
  for (const member of present) assert.equal(member.view.members.length, 15);
});

test("forty viewers come and go: 6 to 16 in a clique, lists agree, cliques hang together", async (t) => {
  const { present, enter, exit, until } = await setUp(t);
  const random = seeded(40);
  const place = () => `127.0.${Math.floor(random() * 200)}.${1 + Math.floor(random() * 200)}`;
  await Promise.all(Array.from({ length: 40 }, () => enter(place())));
  await until(() => objectionTo(present));
  assert.ok(new Set([...present].map(({ view }) => view.clique)).size >= 3);
  for (let round = 0; round < 3; round++) {
    const leaving = [...present].filter(() => random() < 0.4);
    const coming = Array.from({ length: 8 }, () => enter(place()));
    await Promise.all([...leaving.map((member) => exit(member)), ...coming]);
    await until(() => objectionTo(present));
  }
  const rest = [...present];
  for (const member of rest.slice(5)) await exit(member);
  await until(() => objectionTo(present));
  for (const { view } of present)
    assert.equal(view.members.length, 4, "those left found each other");
});

test("changes are gathered: a viewer is told at most once a second", async (t) => {
  const { present, enter, until } = await setUp(t);
  const first = await enter();
  for (let index = 0; index < 15; index++) await enter();
  await until(() => objectionTo(present));
  for (const { told } of present) {
    const gaps = told.slice(1).map((atMs, at) => atMs - told[at]);
    for (const gap of gaps) assert.ok(gap > 900, `told again after ${gap} ms`);
  }
  assert.ok(first.told.length <= 4, `15 newcomers took ${first.told.length} messages`);
});

test("one network does not fill a list while there are others", async (t) => {
  const { present, enter, until } = await setUp(t);
  for (let index = 0; index < 40; index++) {
    await enter(index % 4 === 3 ? `127.0.${index}.1` : `127.0.0.${index + 1}`);
  }
  await until(() => objectionTo(present));
  const prefixOf = new Map([...present].map(({ id, place }) => [id, place.replace(/\.\d+$/, "")]));
  for (const member of present) {
    const networks = new Set(peersOf(member).map((id) => prefixOf.get(id)));
    assert.ok(networks.size > 1, `a list of ${[...networks]}`);
  }
});

test("viewers of one network that are all there is are a full clique", async (t) => {
  const { present, enter, until } = await setUp(t);
  for (let index = 0; index < 12; index++) await enter(`127.0.0.${index + 1}`);
  await until(() => objectionTo(present));
  for (const { view } of present) assert.equal(view.members.length, 11);
});

test("renditions of one film share a clique, other folders do not", async (t) => {
  const { present, enter, until } = await setUp(t);
  const films = ["a", "b"].map((film) => `http://origin.test/${film}/`);
  for (let index = 0; index < 20; index++) {
    const film = films[index % 2];
    await enter(`127.0.${index}.1`, [`${film}v${index % 3}/`, `${film}audio/`]);
  }
  const settled = () => {
    const wrong = [...present].find(({ view }) => view.members.length !== 9);
    return wrong && `${wrong.view.members.length} members`;
  };
  await until(settled);
  const cliques = [...present].map(({ view }) => view.clique);
  assert.equal(new Set(cliques).size, 2);
  assert.ok(cliques.every((clique, at) => clique === cliques[at % 2]));
});

test("the first group decides, another one first moves the viewer, and leaving it moves it back", async (t) => {
  const { enter, until } = await setUp(t);
  const [here, there] = ["http://origin.test/here/", "http://origin.test/there/"];
  const [a, b] = [await enter("127.0.0.1", [here]), await enter("127.0.0.2", [there])];
  const mover = await enter("127.0.0.3", [here, there]);
  const isWith =
    (other, ...alone) =>
    () => {
      const fits =
        String(peersOf(mover)) === other.id &&
        String(peersOf(other)) === mover.id &&
        alone.every(({ view }) => view.members.length === 0);
      return fits ? undefined : `${peersOf(mover)}`;
    };
  await until(isWith(a, b));
  await mover.viewer.join(there, here);
  await until(isWith(b, a));
  mover.viewer.say({ type: "leave", groups: [there] });
  await until(isWith(a, b));
  await mover.viewer.join();
  await until(isWith(a, b));
});

test("neighbours may call each other, others may not, and names are not handed out for ever", async (t) => {
  const { enter, until, present } = await setUp(t, { stockClients: false });
  const [a, b, other] = [
    await enter(),
    await enter(),
    await enter("127.0.0.9", ["http://x.test/y/"]),
  ];
  await until(() => (peersOf(a).includes(b.id) ? undefined : "a was not told of b"));
  const offer = (dst) => ({
    type: "OFFER",
    dst,
    payload: { sdp: {}, type: "data", serialization: "raw", connectionId: "c" },
  });
  b.viewer.say(offer(a.id));
  assert.equal((await a.viewer.heard(({ type }) => type === "OFFER")).src, b.id);
  other.viewer.say(offer(a.id));
  assert.equal((await other.viewer.heard(({ type }) => type === "EXPIRE")).src, a.id);
  // One that hops from film to film learns 64 names at once, and then one a second.
  const spy = await enter("127.0.0.10", []);
  const names = new Set();
  for (let film = 0; film < 6; film++) {
    const group = `http://spied.test/${film}/`;
    for (let index = 0; index < 15; index++) await enter(`127.0.${index}.1`, [group]);
    const { neighbourhood, peers } = await spy.viewer.join(group);
    for (const [id] of [...neighbourhood.members, ...peers]) names.add(id);
  }
  assert.ok(names.size >= 15 && names.size <= 64 + 20, `${names.size} names of 90`);
  for (const member of present) member.viewer.ws.terminate();
});

test("a viewer that comes back with the same id is told anew", async (t) => {
  const { server, enter, until, present } = await setUp(t);
  const [a, b] = [await enter(), await enter()];
  await until(() => objectionTo(present));
  const again = await viewerFor(t, server, { id: b.id, token: b.viewer.token });
  const { neighbourhood } = await again.join(GROUP);
  assert.deepEqual(
    neighbourhood.members.map(([id]) => id),
    [a.id],
  );
});
