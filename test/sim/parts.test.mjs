// Parts of the simulator: `node --test test/sim/parts.test.mjs`.
import assert from "node:assert/strict";
import test from "node:test";
import { bundle } from "../../sim/bundle.mjs";

const { EventQueue, eachMessage, HeldTable, maskOf, Outbox } = await import(await bundle());

/** Uniform in [0, 1) and the same in every run (Park and Miller). */
function seeded(seed) {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/** The same by looking at everything that waits every time. */
class PlainQueue {
  #waiting = [];

  push(atMs, a) {
    this.#waiting.push({ atMs, a });
  }

  next() {
    let first = 0;
    for (const [place, { atMs }] of this.#waiting.entries()) {
      if (atMs < this.#waiting[first].atMs) first = place;
    }
    const [event] = this.#waiting.splice(first, 1);
    return event;
  }
}

test("EventQueue gives events in time order, those of one time in the order they came", () => {
  const random = seeded(11);
  for (const spanMs of [0.5, 5_000, 1_000_000, 1e9]) {
    const queue = new EventQueue();
    const plain = new PlainQueue();
    const same = () => {
      const expected = plain.next();
      assert.equal(queue.next(), expected !== undefined);
      if (expected) assert.deepEqual([queue.atMs, queue.a], [expected.atMs, expected.a]);
      return expected;
    };
    let nowMs = 0;
    for (let index = 0; index < 2_000; index++) {
      // Whole milliseconds as well as parts of one, and some that are due at once.
      const delayMs = random() < 0.1 ? 0 : random() * spanMs;
      const atMs = nowMs + (index % 2 ? delayMs : Math.floor(delayMs));
      queue.push(atMs, 1, index);
      plain.push(atMs, index);
      if (random() < 0.3) nowMs = same().atMs;
    }
    while (same());
    assert.equal(queue.count, 2_000);
    assert.equal(queue.size, 0);
  }
});

test("EventQueue keeps what is not due before a time", () => {
  const random = seeded(3);
  const queue = new EventQueue();
  const times = Array.from({ length: 500 }, () => random() * 300);
  for (const atMs of times) queue.push(atMs, 1);
  const taken = [];
  for (let endMs = 2.5; endMs < 320; endMs += 2.5) {
    while (queue.next(endMs)) {
      assert.ok(queue.atMs < endMs && queue.atMs >= endMs - 2.5);
      taken.push(queue.atMs);
    }
    // What comes meanwhile is due in a later window.
    if (endMs < 100) {
      const atMs = endMs + 2.5 + random();
      queue.push(atMs, 1);
      times.push(atMs);
    }
  }
  assert.deepEqual(
    taken,
    times.sort((a, b) => a - b),
  );
});

test("Outbox gives messages of any length back in their order", () => {
  const random = seeded(8);
  const outbox = new Outbox();
  for (let round = 0; round < 3; round++) {
    const sent = Array.from({ length: 900 }, () => [
      Math.floor(random() * 9),
      Array.from({ length: Math.floor(random() * 40) }, random),
    ]);
    for (const [kind, fields] of sent) outbox.put(kind, fields);
    const got = [];
    eachMessage(outbox.words, (kind, fields) => got.push([kind, [...fields]]));
    assert.deepEqual(got, sent);
    outbox.clear();
  }
});

test("HeldTable says of any number of viewers whether they lack a piece that is told", () => {
  const random = seeded(5);
  const below = (end) => Math.floor(random() * end);
  let lacking = 0;
  for (let round = 0; round < 200; round++) {
    const pieceCount = 1 + below(70);
    const table = new HeldTable(pieceCount);
    const held = new Set();
    for (let count = below(600); count > 0; count--) {
      const [viewer, piece] = [below(2) ? below(3) : below(5_000), below(pieceCount)];
      table.add(viewer, piece);
      held.add(`${viewer} ${piece}`);
    }
    const from = 8 * below(Math.ceil(pieceCount / 8));
    const bits = below(4) ? Uint8Array.from({ length: 1 + below(3) }, () => below(256)) : undefined;
    const told = Array.from({ length: pieceCount }, (_, piece) => piece).filter((piece) => {
      const at = piece - from;
      return !bits || (at >= 0 && (bits[at >> 3] ?? 0) & (128 >> (at & 7)));
    });
    const viewer = below(4);
    const expected = told.some((piece) => !held.has(`${viewer} ${piece}`));
    assert.equal(table.lacks(viewer, maskOf(pieceCount, { from, bits })), expected);
    if (expected) lacking++;
  }
  assert.ok(lacking > 50 && lacking < 195, `${lacking} of 200`);
});
