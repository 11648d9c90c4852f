/**
 * Writes the table of options into README.md, from the one table in `src/option-table.ts`.
 *
 *     node tools/make-options-table.mjs           writes README.md
 *     node tools/make-options-table.mjs --check   exits with code 1 if README.md differs
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const projectDir = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const README = join(projectDir, "README.md");
const BEGIN = "<!-- options:begin -->";
const END = "<!-- options:end -->";

/** Loads the table without a build of the project: esbuild bundles one file in memory. */
async function readOptions() {
  const { outputFiles } = await build({
    entryPoints: [join(projectDir, "src", "option-table.ts")],
    bundle: true,
    format: "esm",
    write: false,
  });
  const code = Buffer.from(outputFiles[0].contents).toString("base64");
  const { OPTIONS } = await import(`data:text/javascript;base64,${code}`);
  return OPTIONS;
}

/** `uploadMaxRate` is `data-upload-max-rate`. */
const attributeOf = (name) =>
  `data-${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

function defaultOf({ default: value, shown, kind, min, max }) {
  if (kind === "number") return `${asText(value)} (${asText(min)} to ${asText(max)})`;
  return shown ?? `\`${value}\``;
}

/** Powers of two are easier to read as powers of two. */
function asText(value) {
  for (const [unit, bytes] of [
    ["TiB", 2 ** 40],
    ["GiB", 2 ** 30],
    ["MiB", 2 ** 20],
  ]) {
    if (value >= bytes && value % bytes === 0) return `${value / bytes} ${unit}`;
  }
  return String(value);
}

const escaped = (text) => text.replaceAll("|", "\\|");

function tableOf(options) {
  const rows = Object.entries(options).map(([name, row]) =>
    [`\`${name}\``, `\`${attributeOf(name)}\``, defaultOf(row), row.meaning].map(escaped),
  );
  const lines = [
    ["option", "attribute", "default", "meaning"],
    ["---", "---", "---", "---"],
    ...rows,
  ];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/**
 * The README as it should be.
 *
 * @param text README.md as it is.
 * @throws {Error} If it has not exactly one pair of markers.
 */
export async function withOptionsTable(text) {
  const [before, rest, ...more] = text.split(BEGIN);
  const [, after, ...others] = rest?.split(END) ?? [];
  if (after === undefined || more.length > 0 || others.length > 0) {
    throw new Error(`Cannot place the table as README.md must have ${BEGIN} and ${END} once each`);
  }
  return `${before}${BEGIN}\n\n${tableOf(await readOptions())}\n\n${END}${after}`;
}

async function main(args) {
  const text = readFileSync(README, "utf8");
  const wanted = await withOptionsTable(text);
  if (text === wanted) return 0;
  if (args.includes("--check")) {
    console.error("README.md: the options differ, run `node tools/make-options-table.mjs`");
    return 1;
  }
  writeFileSync(README, wanted);
  return 0;
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2));
}
