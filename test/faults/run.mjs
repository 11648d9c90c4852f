/**
 * `npm run faults`: plays the fault matrix in real browsers, each row against its twin without Nearcast, and prints
 * the table.
 *
 *     npm run faults                          every row, in Chromium and, if it is there, Firefox
 *     npm run faults -- --row 1,7             only these rows
 *     npm run faults -- --browser firefox     only this browser
 *     npm run faults -- --fast                only what `npm test` plays
 *     npm run faults -- --malice 50           50 seeds of evil peers instead; --seed 7 begins with seed 7
 *     npm run faults -- --samples 5           measurements of each row (default: the row's own)
 * @module
 */
import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { findFirefox } from "../../tools/ensure-browser.mjs";
import { playRow } from "./frame.mjs";
import { ALLOWED_MS, playMalice } from "./malice.mjs";
import { rows } from "./rows/index.mjs";

const HELP = `Usage: npm run faults -- [options]

  --row 1,7           only these rows of the fault matrix
  --browser NAME      chromium or firefox (both, where Firefox is installed)
  --fast              only what \`npm test\` plays
  --samples N         measurements of each row (the row's own)
  --malice N          N seeds of evil peers instead
  --seed N            the first of those seeds (1)`;

const COLUMNS = ["row", "fault", "browser", "result", "added ms", "allowed ms", "bytes equal"];

const cellsOf = ({ row, name, browser, ok, addedMs, allowedMs, equal, problem }) => [
  String(row),
  name,
  browser,
  ok ? "ok" : "FAILED",
  addedMs === undefined ? "-" : String(addedMs),
  String(allowedMs),
  equal === undefined ? "-" : equal ? "yes" : "NO",
  problem ?? "",
];

function printTable(results) {
  const table = [COLUMNS, ...results.map(cellsOf)];
  const widths = COLUMNS.map((_, column) => Math.max(...table.map((row) => row[column].length)));
  for (const row of table)
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    );
}

function wholeNumber(name, text, max) {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new TypeError(`--${name}: must be a whole number from 1 to ${max}`);
}

async function beMalicious(options) {
  const { results, wrong, p95Ms } = await playMalice({
    ...options,
    onSeed: ({ seed, addedMs, equal, bent, rejected, errors, scripts }) =>
      console.log(
        `seed ${seed}: added ${addedMs} ms, bytes equal ${equal ? "yes" : "NO"}, ${bent} frames bent, ${rejected} bytes thrown away, ${errors.length} errors, ${JSON.stringify(scripts)}`,
      ),
  });
  const idle = results.filter(({ bent }) => bent === 0).length;
  console.log(
    `${results.length} seeds, ${wrong.length} with wrong bytes or errors, p95 added ${p95Ms} ms (allowed ${ALLOWED_MS}); in ${idle} nobody was asked for anything`,
  );
  process.exitCode = wrong.length > 0 || p95Ms > ALLOWED_MS ? 1 : 0;
}

function readArguments(args) {
  const { values } = parseArgs({
    args,
    options: {
      help: { type: "boolean", short: "h" },
      row: { type: "string" },
      browser: { type: "string" },
      fast: { type: "boolean" },
      samples: { type: "string" },
      malice: { type: "string" },
      seed: { type: "string" },
    },
  });
  if (values.help) return { help: true };
  const count = wholeNumber("malice", values.malice, 10_000);
  const from = wholeNumber("seed", values.seed, 2 ** 31) ?? 1;
  const numbers = values.row?.split(",").map(Number);
  const unknown = numbers?.find((number) => !rows.some(({ row }) => row === number));
  if (unknown !== undefined) throw new TypeError(`--row: there is no row ${unknown}`);
  const samples = wholeNumber("samples", values.samples, 8);
  const browsers = values.browser ? [values.browser] : ["chromium", "firefox"];
  const strange = browsers.find((name) => !["chromium", "firefox"].includes(name));
  if (strange) throw new TypeError(`--browser: must be chromium or firefox, not "${strange}"`);
  return {
    numbers,
    samples,
    fast: values.fast ?? false,
    browsers,
    malice: count && { count, from },
  };
}

async function main() {
  const { help, numbers, samples, fast, browsers, malice } = readArguments(process.argv.slice(2));
  if (help) return console.log(HELP);
  if (!existsSync("dist/nearcast.js")) throw new Error('Run "npm run build" first');
  if (malice) return beMalicious(malice);
  const results = [];
  for (const browser of browsers) {
    if (browser === "firefox" && !findFirefox()) {
      console.log("Firefox is not installed: its rows are not played");
      continue;
    }
    const chosen = rows.filter(
      (row) =>
        (numbers?.includes(row.row) ?? true) &&
        (!fast || row.fast) &&
        (row.browsers ?? ["chromium", "firefox"]).includes(browser),
    );
    for (const row of chosen) {
      const missing = row.missing?.();
      if (missing) {
        console.log(`row ${row.row} is not played, ${row.name}: ${missing}`);
        continue;
      }
      const result = await playRow(row, { browser, samples });
      results.push(result);
      console.error(cellsOf(result).join(" | "));
    }
  }
  printTable(results);
  const failed = results.filter(({ ok }) => !ok).length;
  console.log(`${results.length - failed} of ${results.length} rows hold`);
  process.exitCode = failed > 0 ? 1 : 0;
}

try {
  await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 2;
}
