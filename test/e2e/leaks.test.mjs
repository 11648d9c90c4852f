/**
 * Two users, one mesh (rule R33; threats C5 to C8): A comes first and fills the mesh, then B asks for the same
 * with other credentials. B never sees a byte of A's, and each sees what a browser without Nearcast shows.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { answerPersonally, CASES } from "./support/personal-origin.mjs";
import { linked, openBlank, openRig, soon, stats } from "./support/rig.mjs";

const KINDS = ["fetch", "range", "img", "cors", "cors-include"];
const OTHER = { A: "B", B: "A" };

/** Nearer than that, an origin answers all of a page's requests before a busy index has answered the first. */
const ORIGIN_DELAY_MS = 100;
const farAway = (req, res) => void setTimeout(answerPersonally, ORIGIN_DELAY_MS, req, res);

/** Runs in the page: one request of one kind; what came, and which users' letters are in it. */
async function look({ target, kind, user, by }) {
  const address = by === "token" ? `${target}?token=${user}` : target;
  const headers = {
    ...(by === "authorization" && { authorization: `Bearer ${user}` }),
    ...(kind === "range" && { range: "bytes=70000-139999" }),
  };
  const lettersIn = (bytes, step) => {
    const seen = {};
    for (let at = 54; at + 16 * step < bytes.length; at += 16 * step) {
      const letter = String.fromCharCode(bytes[at]);
      if (bytes[at + step] === bytes[at]) seen[letter] = (seen[letter] ?? 0) + 1;
    }
    return Object.keys(seen)
      .filter((letter) => "ABP?".includes(letter))
      .sort()
      .join("");
  };
  const digest = async (bytes) => {
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
  };
  try {
    if (kind === "img") {
      const image = new Image();
      image.src = address;
      await image.decode();
      const canvas = new OffscreenCanvas(image.width, image.height);
      const context = canvas.getContext("2d");
      context.drawImage(image, 0, 0);
      const { data } = context.getImageData(0, 0, image.width, image.height);
      return { letters: lettersIn(data, 4), hash: await digest(data) };
    }
    const response = await fetch(address, {
      headers,
      ...(kind === "cors-include" && { credentials: "include" }),
    });
    const bytes = new Uint8Array(await response.arrayBuffer());
    const { status, type, redirected } = response;
    const shown = Object.fromEntries(response.headers);
    for (const name of ["date", "connection", "keep-alive"]) delete shown[name];
    return {
      ...{ status, type, redirected, headers: shown, bytes: bytes.length },
      ...{ letters: lettersIn(bytes, 1), hash: await digest(bytes) },
    };
  } catch (error) {
    return { error: error.name };
  }
}

test("R33: two users share what is public and nothing else, whatever the kind of request", async (t) => {
  const rig = await openRig({ lab: farAway });
  t.after(() => rig.close());
  const browser = await rig.launch();
  const options = { include: `/lab/** ${rig.cdn}/lab/**` };
  const known = async (page, user) => {
    await page.evaluate((name) => {
      // biome-ignore lint/suspicious/noDocumentCookie: as a site would that has no cookieStore
      document.cookie = `user=${name}; path=/`;
    }, user);
    return page;
  };
  const bare = async (user) => known(await (await rig.context(browser)).open("/blank?off"), user);
  const viewer = async (user) =>
    known(await openBlank(await rig.context(browser), rig, { options }), user);

  const cells = Object.entries(CASES).flatMap(([name, { by, unique = false }]) =>
    KINDS.filter((kind) => !(kind === "img" && by === "authorization")).map((kind) => {
      const host = kind.startsWith("cors") ? rig.cdn : "";
      return { name, kind, by, unique, base: `${host}/lab/${kind}` };
    }),
  );
  const ask = (page, user, attempt = 0) =>
    Promise.all(
      cells.map(({ base, name, ...cell }) =>
        page.evaluate(look, { ...cell, target: `${base}-${attempt}/${name}`, user }),
      ),
    );
  /**
   * What is the same in every browser: not the digest of an answer that the edge makes anew each time, and not
   * `type`, which a worker's answer to a CORS request has as "basic" (the one difference that rule R22 allows).
   */
  const comparable = (answer, { unique, kind }) => ({
    ...answer,
    ...(unique && { hash: "" }),
    ...(kind === "cors" && { type: "" }),
  });

  const twins = { A: await bare("A"), B: await bare("B") };
  const expected = { A: await ask(twins.A, "A"), B: await ask(twins.B, "B") };
  const pages = { A: await viewer("A") };
  const join = { target: "/lab/join/public", kind: "fetch" };
  const openB = async () => {
    await pages.A.evaluate(look, join);
    const page = await viewer("B");
    await page.evaluate(look, join);
    await linked(page, 1);
    // B asks for what A has just announced. Sooner, everybody's copy comes from the origin: it is there before
    // the index has attested it.
    await soon(async () => {
      const target = `/lab/join/public?${Math.random()}`;
      const announced = () => rig.index.metric('nearcast_messages_total{type="announce"}');
      const before = await announced();
      await pages.A.evaluate(look, { target, kind: "fetch" });
      await soon(async () => (await announced()) > before, "A announces what it holds");
      await page.evaluate(look, { target, kind: "fetch" });
      return (await stats(page)).bytes.mesh > 0;
    }, "bytes from A");
    return page;
  };
  const rounds = [];
  let fromMesh = 0;
  // Even so a busy machine's index may come too late for all of B's requests: the same again under other names.
  for (let attempt = 0; attempt < 4 && fromMesh === 0; attempt++) {
    rounds.push(["A", await ask(pages.A, "A", attempt)]);
    rounds.push(["A", await ask(pages.A, "A", attempt)]);
    pages.B ??= await openB();
    const before = (await stats(pages.B)).bytes.mesh;
    rounds.push(["B", await ask(pages.B, "B", attempt)]);
    rounds.push(["B", await ask(pages.B, "B", attempt)]);
    fromMesh = (await stats(pages.B)).bytes.mesh - before;
    rounds.push(["A", await ask(pages.A, "A", attempt)]);
  }

  const table = new Map();
  const problems = [];
  for (const [at, cell] of cells.entries()) {
    const verdicts = rounds.map(([user, answers], round) => {
      const answer = comparable(answers[at], cell);
      const wanted = comparable(expected[user][at], cell);
      const leak = answer.letters?.includes(OTHER[user]) ?? false;
      if (leak) return "LEAK";
      try {
        assert.deepEqual(answer, wanted);
        return "ok";
      } catch {
        problems.push(
          `${cell.name} ${cell.kind}, ${user} in round ${round + 1}: ${JSON.stringify(answer)}, bare ${JSON.stringify(wanted)}`,
        );
        return "DIFFERS";
      }
    });
    const row = table.get(cell.name) ?? {};
    row[cell.kind] = verdicts.find((verdict) => verdict !== "ok") ?? "ok";
    table.set(cell.name, row);
  }
  t.diagnostic(["", ...KINDS].map((kind) => kind.padEnd(18)).join(""));
  for (const [name, row] of table) {
    t.diagnostic(
      [name, ...KINDS.map((kind) => row[kind] ?? "-")].map((c) => c.padEnd(18)).join(""),
    );
  }
  t.diagnostic(`B took ${fromMesh} bytes of the matrix from A`);
  assert.equal([...table.values()].flatMap(Object.values).filter((v) => v === "LEAK").length, 0);
  assert.deepEqual(problems, []);
  assert.ok(fromMesh > 0, "the public case came from the mesh");
  assert.deepEqual([...pages.A.errors, ...pages.B.errors], []);
});
