/**
 * Entry of the command line: `nearcast serve …` (or `nearcast-server …`), `nearcast manifest …`,
 * `nearcast doctor …`.
 * @module
 */
import { basename } from "node:path";
import process from "node:process";
import { doctor } from "./doctor.js";
import { manifest } from "./manifest.js";
import { serve } from "./serve.js";

const [, program = "", ...args] = process.argv;
const isServer = basename(program).startsWith("nearcast-server");
const [command, ...rest] = isServer ? ["serve", ...args] : args;

if (command === "serve") {
  await serve(rest);
} else if (command === "manifest") {
  await manifest(rest);
} else if (command === "doctor") {
  await doctor(rest);
} else {
  const asked = command === undefined || command === "--help";
  const usage = `Usage: nearcast serve|manifest|doctor [flags]; "--help" after each lists the flags`;
  if (asked) console.log(usage);
  else console.error(usage);
  process.exitCode = asked ? 0 : 2;
}
