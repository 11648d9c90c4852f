// The dependency rule of ARCHITECTURE.md, executed: `node --test test/architecture.test.mjs`.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { posix, sep } from "node:path";
import test from "node:test";
// TypeScript 7 has no compiler API; this package is the last one that has.
import ts from "typescript";

/** Folder of src -> folders and packages that its files may import. */
const MAY_IMPORT = {
  core: ["core"],
  protocol: ["protocol", "core"],
  engine: ["engine", "protocol", "core"],
  store: ["store", "engine", "protocol", "core", "idb-keyval"],
  mesh: ["mesh", "store", "engine", "protocol", "core", "peerjs", "m3u8-parser", "mpd-parser"],
  sw: ["sw", "store", "engine", "protocol", "core", /^workbox-/],
  signal: ["signal", "engine", "protocol", "core", /^node:/, "ws", "@redis/client"],
  cli: ["cli", "signal", "protocol", "core", /^node:/],
  ".": [".", "mesh", "store", "engine", "protocol", "core"], // src/*.ts: the page
};

/** Packages that only one file may know, so that replacing them touches one file. */
const SOLE_OWNER = {
  "@redis/client": "signal/redis/connection.ts",
  peerjs: "mesh/signaling/peerjs-peer.ts",
  "m3u8-parser": "mesh/playback/playlist-reader.ts",
  "mpd-parser": "mesh/playback/playlist-reader.ts",
};

/** Folders where time, randomness and I/O are arguments. */
const PURE_FOLDERS = ["core", "protocol", "engine"];
const IMPURE_GLOBALS = ["setTimeout", "setInterval", "fetch", "globalThis", "performance"];
const IMPURE_MEMBERS = ["Date.now", "Math.random"];

const LINES_MAX = 300;

const folderOf = (file) => (file.includes("/") ? file.split("/")[0] : ".");

/** What a file imports, as a folder of src or the name of a package; `import type` counts. */
function targetsOf(file, text) {
  return ts
    .preProcessFile(text, true, true)
    .importedFiles.map(({ fileName }) =>
      fileName.startsWith(".") ? folderOf(posix.join(file, "..", fileName)) : fileName,
    );
}

function forbiddenImports(file, text) {
  const allowed = MAY_IMPORT[folderOf(file)] ?? [];
  return targetsOf(file, text)
    .filter((target) => {
      const permitted = allowed.some((rule) => rule === target || (rule.test?.(target) ?? false));
      return !permitted || (SOLE_OWNER[target] ?? file) !== file;
    })
    .map((target) => `${file} may not import ${target}`);
}

/** Uses of time, randomness and I/O; comments, strings and properties of such names do not count. */
function impureUses(file, text) {
  if (!PURE_FOLDERS.includes(folderOf(file))) return [];
  const found = [];
  const visit = (node) => {
    const used = impurityOf(node);
    if (used !== undefined) found.push(`${file} may not use ${used}`);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true));
  return found;
}

function impurityOf(node) {
  if (ts.isPropertyAccessExpression(node)) {
    const member = node.getText().replace(/\s/g, "");
    return IMPURE_MEMBERS.includes(member) ? member : undefined;
  }
  if (ts.isNewExpression(node) && node.expression.getText() === "Date") {
    return node.arguments?.length ? undefined : "new Date()";
  }
  if (!ts.isIdentifier(node) || !IMPURE_GLOBALS.includes(node.text)) return undefined;
  const isName = node.parent.name === node && !ts.isShorthandPropertyAssignment(node.parent);
  return isName ? undefined : node.text;
}

/** Every broken rule of one file, as sentences. */
function violations(file, text) {
  if (!Object.hasOwn(MAY_IMPORT, folderOf(file))) return [`${file} is in an unknown folder`];
  return [...forbiddenImports(file, text), ...impureUses(file, text)];
}

test("src follows the dependency rule of ARCHITECTURE.md", () => {
  const files = readdirSync("src", { recursive: true })
    .map((file) => file.split(sep).join("/"))
    .filter((file) => /\.[cm]?[jt]sx?$/.test(file));
  assert.ok(files.length > 0);
  assert.deepEqual(
    files.flatMap((file) => violations(file, readFileSync(posix.join("src", file), "utf8"))),
    [],
  );
});

test("no file is longer than 300 lines, so that each has one thing to say", () => {
  const long = ["src", "sim", "demo", "bench", "tools"].flatMap((folder) =>
    readdirSync(folder, { recursive: true })
      .filter((file) => /\.([cm]?[jt]s|css|html)$/.test(file))
      .map((file) => posix.join(folder, file.split(sep).join("/")))
      .filter((file) => readFileSync(file, "utf8").split("\n").length - 1 > LINES_MAX),
  );
  assert.deepEqual(long, []);
});

test("the rule catches an import against the arrow, of whatever form", () => {
  const forms = [
    'import { a } from "../mesh/a.js";',
    'import type { A } from "../mesh/a.js";',
    'export * from "../mesh/a.js";',
    'const a = await import("../mesh/a.js");',
    'type A = import("../mesh/a.js").A;',
  ];
  for (const form of forms) {
    assert.deepEqual(violations("core/fake.ts", form), ["core/fake.ts may not import mesh"], form);
  }
});

test("the rule catches a package outside the folder that owns it", () => {
  assert.deepEqual(violations("core/fake.ts", 'await import("peerjs")'), [
    "core/fake.ts may not import peerjs",
  ]);
  assert.deepEqual(violations("mesh/fake.ts", 'import { Peer } from "peerjs"'), [
    "mesh/fake.ts may not import peerjs",
  ]);
  assert.deepEqual(
    violations("mesh/signaling/peerjs-peer.ts", 'import { Peer } from "peerjs"'),
    [],
  );
  assert.deepEqual(violations("sw/fake.ts", 'import "workbox-core"; import "../mesh/a.js"'), [
    "sw/fake.ts may not import mesh",
  ]);
});

test("the rule catches an unknown folder", () => {
  assert.deepEqual(violations("utils/fake.ts", ""), ["utils/fake.ts is in an unknown folder"]);
  assert.deepEqual(violations("constructor/fake.ts", ""), [
    "constructor/fake.ts is in an unknown folder",
  ]);
});

test("the rule catches time, randomness and I/O in pure folders, but not their names", () => {
  const impure = [
    "Date.now()",
    "Math.random()",
    "new Date()",
    "setTimeout(f, 1)",
    "setInterval(f, 1)",
    "fetch(u)",
    "globalThis.fetch(u)",
    "const clock = Date.now",
    "const ports = { fetch }",
  ];
  for (const text of impure) {
    assert.equal(violations("engine/fake.ts", text).length, 1, text);
    assert.deepEqual(violations("mesh/fake.ts", text), [], text);
  }
  const pure = [
    "// Date.now() is an argument",
    'const a = "fetch"',
    "port.fetch(u)",
    "Date.parse(t)",
  ];
  for (const text of pure) assert.deepEqual(violations("engine/fake.ts", text), [], text);
});
