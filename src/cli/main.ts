/**
 * Entry of the command line: `nearcast serve …`, or `nearcast-server …`.
 * @module
 */
import { basename } from "node:path";
import process from "node:process";
import { serve } from "./serve.js";

const [, program = "", ...args] = process.argv;
const isServer = basename(program).startsWith("nearcast-server");
const [command, ...rest] = isServer ? ["serve", ...args] : args;

if (command === "serve") {
  await serve(rest);
} else {
  console.error(`Usage: nearcast serve [flags]; "nearcast serve --help" lists the flags`);
  process.exitCode = command === undefined || command === "--help" ? 0 : 2;
}
