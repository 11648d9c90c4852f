// Parts of the simulator: `node --test test/sim/parts.test.mjs`.
import assert from "node:assert/strict";
import test from "node:test";
import { bundle } from "../../sim/bundle.mjs";

const { Cliques, EventQueue } = await import(await bundle());

/** Uniform in [0, 1) and the same in every run (Park and Miller). */
function seeded(seed) {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

test("EventQueue gives events in time order, those of one time in the order they came", () => {
  const queue = new EventQueue();
  const random = seeded(11);
  const expected = [];
  for (let index = 0; index < 100_000; index++) {
    const atMs = Math.floor(random() * 5_000);
    queue.push(atMs, 1, index);
    expected.push({ atMs, index });
  }
  expected.sort((a, b) => a.atMs - b.atMs || a.index - b.index);
  for (const { atMs, index } of expected) {
    assert.ok(queue.next());
    assert.deepEqual([queue.atMs, queue.a], [atMs, index]);
  }
  assert.equal(queue.next(), false);
});

function cliques(random) {
  const places = new Map();
  const placeOf = (member) => {
    if (!places.has(member)) places.set(member, { x: random(), y: random() });
    return places.get(member);
  };
  return new Cliques({ target: 12, bridges: 3, placeOf, random });
}

test("Cliques keeps members in cliques of bounded size through joins and leaves", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seeded(seed);
    const subject = cliques(random);
    const present = new Set();
    for (let step = 0; step < 600; step++) {
      const leaves = present.size > 0 && random() < (step < 300 ? 0.2 : 0.6);
      const [oldest] = present;
      if (leaves) {
        subject.leave(oldest);
        present.delete(oldest);
      } else {
        subject.join(step, 0);
        present.add(step);
      }
      for (const member of present) {
        const members = subject.membersOf(member);
        assert.ok(members.has(member) && members.size <= subject.membersMax);
        for (const other of members) assert.ok(present.has(other));
      }
    }
  }
});

test("Cliques asks for links with all members of the clique, and for few others", () => {
  const subject = cliques(seeded(3));
  const linked = new Map(Array.from({ length: 200 }, (_, member) => [member, new Set()]));
  for (let member = 0; member < 200; member++) {
    const { link, unlink } = subject.join(member, 0);
    for (const [a, b] of unlink) {
      linked.get(a).delete(b);
      linked.get(b).delete(a);
    }
    for (const [a, b] of link) {
      linked.get(a).add(b);
      linked.get(b).add(a);
    }
  }
  for (const [member, peers] of linked) {
    const others = [...subject.membersOf(member)].filter((other) => other !== member);
    for (const other of others) assert.ok(peers.has(other), `${member} with ${other}`);
    assert.ok(peers.size - others.length <= 6, `${member} has ${peers.size} links`);
  }
});
