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

const USAGE = `Usage: nearcast serve|manifest|doctor [flags]; "--help" after each lists the flags`;

const [, program = "", ...args] = process.argv;
const isServer = basename(program).startsWith("nearcast-server");
const [command, ...rest] = isServer ? ["serve", ...args] : args;

if (/^(-v|--version)$/.test(args[0] ?? "")) {
  console.log(NEARCAST_BUILD);
} else if (command === undefined || /^(-h|--help|help)$/.test(command)) {
  console.log(USAGE);
} else if (command === "serve") {
  await serve(rest);
} else if (command === "manifest") {
  await manifest(rest);
} else if (command === "doctor") {
  await doctor(rest);
} else if (command.startsWith("--")) {
  // Windows starts `nearcast-server` under the name of this file.
  await serve(args);
} else {
  console.error(USAGE);
  process.exitCode = 2;
}
