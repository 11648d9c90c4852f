// What the documents say of the code, checked against the code: `node --test test/docs.test.mjs`.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix, resolve } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { withOptionsTable } from "../tools/make-options-table.mjs";

const projectDir = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const read = (path) => readFileSync(join(projectDir, path), "utf8");

const DOCUMENTS = [
  "README.md",
  "ARCHITECTURE.md",
  "PROTOCOL.md",
  "SECURITY.md",
  ...readdirSync(join(projectDir, "docs"), { recursive: true })
    .map((name) => posix.join("docs", name.split("\\").join("/")))
    .filter((path) => path.endsWith(".md"))
    .sort(),
];

/** Text without fenced code, in which brackets are no links and paths no references. */
const proseOf = (markdown) => markdown.replace(/^```[\s\S]*?^```$/gm, "");

/** The anchors that GitHub makes of headings. */
function anchorsOf(markdown) {
  return [...proseOf(markdown).matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

/** Links of a document that lead nowhere. */
function brokenLinks(document) {
  const links = [...proseOf(read(document)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link);
  return links.filter((link) => {
    if (/^[a-z]+:/.test(link)) return false;
    const [path, anchor] = link.split("#");
    const target = path === "" ? document : posix.join(posix.dirname(document), path);
    if (!existsSync(join(projectDir, target))) return true;
    return anchor !== undefined && !anchorsOf(read(target)).includes(anchor);
  });
}

/** Paths in backquotes that look like the project's own files and folders. */
function pathsNamed(markdown) {
  const quoted = [...proseOf(markdown).matchAll(/`([^`\s]+)`/g)].map(([, text]) => text);
  const own = /^((src|demo|bench|test|tools|types|docs)(\/[\w.*/-]*)?|[\w.-]+\.(md|json|mjs))$/;
  return [...new Set(quoted)].filter((text) => own.test(text) && !text.includes("*"));
}

/** Bundles one module in memory and loads it. */
async function load(path) {
  const { outputFiles } = await build({
    entryPoints: [join(projectDir, path)],
    bundle: true,
    format: "esm",
    write: false,
  });
  const code = Buffer.from(outputFiles[0].contents).toString("base64");
  return import(`data:text/javascript;base64,${code}`);
}

test("README.md has the options of src/option-table.ts", async () => {
  const text = read("README.md");
  assert.equal(text, await withOptionsTable(text), "run `node tools/make-options-table.mjs`");
});

test("README.md has every flag of the server, and no other", () => {
  const [, table = ""] = /const FLAGS[^=]*= \{(.*?)^\};/ms.exec(read("src/cli/serve-options.ts"));
  const flags = [...table.matchAll(/^ {2}"?([a-z-]+)"?: \{/gm)].map(([, name]) => name);
  assert.ok(flags.length > 10, "the table of flags was found");
  const [, section = ""] = /^## The server$(.*?)^## /ms.exec(read("README.md"));
  const cells = [...section.matchAll(/^\| (`--.*?) \|/gm)].map(([, cell]) => cell).join(" ");
  const named = [...cells.matchAll(/`--([a-z-]+)`/g)].map(([, name]) => name);
  assert.deepEqual(named.sort(), [...flags, "config"].sort());
});

test("README.md has every metric of the server", () => {
  const names = new Set(read("src/signal/http/metrics.ts").match(/\bnearcast_\w+/g));
  const missing = [...names].filter((name) => !read("README.md").includes(`\`${name}`));
  assert.deepEqual(missing, []);
});

for (const document of DOCUMENTS) {
  test(`${document} has no link that leads nowhere`, () => {
    assert.deepEqual(brokenLinks(document), []);
  });

  test(`${document} names no file that does not exist`, () => {
    const missing = pathsNamed(read(document)).filter(
      (path) => !existsSync(join(projectDir, path)),
    );
    assert.deepEqual(missing, []);
  });

  test(`${document} names no path of one machine`, () => {
    assert.doesNotMatch(read(document), /(^|[\s(`"])\/(work|home|root|tmp|Users)\//m);
  });
}

test("ARCHITECTURE.md has at most 150 lines and names every folder of src", () => {
  const text = read("ARCHITECTURE.md");
  assert.ok(text.split("\n").length <= 151);
  const folders = readdirSync(join(projectDir, "src"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => `src/${name}`);
  assert.deepEqual(
    folders.filter((folder) => !text.includes(`**\`${folder}\`**`)),
    [],
  );
});

test("PROTOCOL.md has exactly the limits of src/protocol/limits.ts", async () => {
  const rows = [...read("PROTOCOL.md").matchAll(/^\| `([A-Z][A-Z0-9_]+)` \| (\d+) \|/gm)];
  const printed = Object.fromEntries(rows.map(([, name, value]) => [name, Number(value)]));
  assert.equal(rows.length, Object.keys(printed).length, "no limit is printed twice");
  assert.deepEqual(printed, { ...(await load("src/protocol/limits.ts")) });
});

test("PROTOCOL.md has exactly the frames of src/protocol/peer-codec.ts", () => {
  const [header] = read("src/protocol/peer-codec.ts").split("*/");
  const frames = [
    ...header.matchAll(/^ \* +(?:control|bulk)? +(\d+) (\w+) +((?:\w+(?::\w+|\[\*\]) ?)+)/gm),
  ].map(([, type, name, fields]) => `${type} ${name} ${fields.trim()}`);
  const rows = [...read("PROTOCOL.md").matchAll(/^\| (\d+) \| (\w+) \| `([^`]+)` \|/gm)].map(
    ([, type, name, fields]) => `${type} ${name} ${fields}`,
  );
  assert.ok(frames.length >= 9, "the table of frames was found");
  assert.deepEqual(rows.sort(), frames.sort());
});

test("ARCHITECTURE.md has the dependency rule that test/architecture.test.mjs executes", () => {
  const [, table = ""] = /MAY_IMPORT = \{(.*?)^\};/ms.exec(read("test/architecture.test.mjs"));
  const rule = [...table.matchAll(/^ {2}"?([\w.]+)"?: \[(.*)\]/gm)].map(([, folder, list]) => {
    const targets = [...list.matchAll(/"([^"]+)"|\/\^([^/]+)\//g)].map(([, name, start]) =>
      start ? `${start}*` : name,
    );
    return [folder === "." ? "src/*.ts" : folder, targets.filter((name) => name !== folder).sort()];
  });
  const [, section = ""] = /^## Dependency rule$(.*?)^## /ms.exec(read("ARCHITECTURE.md"));
  const rows = [...section.matchAll(/^\| `([^`]+)` \| (.*) \|$/gm)].map(([, folder, cell]) => {
    const targets = [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name);
    return [folder, targets.filter((name) => !name.startsWith("src/")).sort()];
  });
  assert.ok(rule.length >= 9, "the rule was found");
  assert.deepEqual(Object.fromEntries(rows), Object.fromEntries(rule));
});

test("docs/decisions are numbered without gaps and have all four parts", () => {
  const names = readdirSync(join(projectDir, "docs", "decisions")).sort();
  for (const [index, name] of names.entries()) {
    const number = String(index + 1).padStart(4, "0");
    assert.match(name, new RegExp(`^${number}-[a-z0-9-]+\\.md$`));
    const text = read(`docs/decisions/${name}`);
    assert.match(text, new RegExp(`^# ${number} `));
    for (const part of ["Context", "Decision", "Alternatives", "Consequence"]) {
      assert.ok(text.includes(`**${part}.**`), `${name} has the part "${part}"`);
    }
  }
});

/** The threats of the highest priority in the catalogue of the project. */
const THREATS =
  "A1 A2 A3 A4 A5 A6 A7 A8 B1 B2 B3 B4 B5 B7 C1 C2 C3 C4 C5 C6 C7 D1 D2 D5 E1 E2 E3 E4 E5 E6 E7 E8 E9 E11 E12 E13 F1 F2 F3 F6 G3 H1 H2 H3 B8 C8 D3 E10 G1 G2";

test("SECURITY.md names a test that exists for each threat, or says that it is open", () => {
  const rows = [...read("SECURITY.md").matchAll(/^\| ([A-H]\d+) \|.*\| (.*) \|$/gm)];
  assert.deepEqual(rows.map(([, id]) => id).join(" "), THREATS);
  for (const [, id, cell] of rows) {
    const tests = [...cell.matchAll(/`([^`]+)` "([^"]+)"/g)];
    assert.ok(tests.length > 0 || cell.startsWith("open: "), `${id} has a test`);
    for (const [, file, title] of tests)
      assert.ok(read(file).includes(title), `${id}: ${file} has the test "${title}"`);
  }
});

test("docs/SECURITY-RULES.md has all 74 rules, each with a place and a test that exist, or a word why not", () => {
  const rows = [
    ...read("docs/SECURITY-RULES.md").matchAll(/^\| (R\d+) \| .+? \| (.+?) \| (.+) \|$/gm),
  ];
  const all = Array.from({ length: 74 }, (_, index) => `R${index + 1}`);
  assert.deepEqual(
    rows.map(([, rule]) => rule),
    all,
  );
  for (const [, rule, place, cell] of rows) {
    if (place === "process" || place === "open") continue;
    assert.match(place, /^`(src|test)\/[\w./-]+`$/, rule);
    const tests = [...cell.matchAll(/`([^`]+)` "([^"]+)"/g)];
    assert.ok(tests.length > 0, `${rule} has a test`);
    for (const [, file, title] of tests)
      assert.ok(read(file).includes(title), `${rule}: ${file} has the test "${title}"`);
  }
});
