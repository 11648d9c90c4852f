/** A process of its own for {@link runClients}: clients A and B take turns, request by request. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { buildSync } from "esbuild";
import { getResults, runTests } from "http-cache-tests/client/runner.mjs";
import suites from "http-cache-tests/tests/index.mjs";
import { openSuite } from "./suite.mjs";

const { MeshModel } = await load("test/conformance/mesh-model.ts");
const suite = await openSuite(() => "");
const mesh = new MeshModel();
const shares = process.argv[2] === "shared";

await runTests(
  suites,
  (url, init) => {
    const turn = Number(new Headers(init?.headers).get("req-num") ?? 0);
    return turn > 0 && shares ? mesh.fetch(turn % 2, url, init) : fetch(url, init);
  },
  false,
  suite.url,
);
process.send({ results: getResults(), shared: mesh.shared });
suite.close();

async function load(path) {
  const folder = mkdtempSync(join(tmpdir(), "nearcast-conformance-"));
  const outfile = join(folder, "model.mjs");
  buildSync({ entryPoints: [path], outfile, bundle: true, platform: "node", format: "esm" });
  try {
    return await import(pathToFileURL(outfile));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
