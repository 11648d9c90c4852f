// The package as a site gets it: packed, unpacked, imported.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import test from "node:test";

const { exports: entries, bin } = JSON.parse(readFileSync("package.json", "utf8"));

/** Unpacks what `npm pack` makes into a project of its own, beside what the package depends on. */
function installed(t) {
  const project = mkdtempSync(join(tmpdir(), "nearcast-package-"));
  t.after(() => rmSync(project, { recursive: true, force: true }));
  const modules = join(project, "node_modules");
  mkdirSync(modules);
  const [{ filename }] = JSON.parse(
    run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", project]).stdout,
  );
  run("tar", ["-xzf", join(project, filename), "-C", modules]);
  run("mv", [join(modules, "package"), join(modules, "nearcast")]);
  for (const name of ["ws", "workbox-core", "workbox-strategies", "@types"]) {
    symlinkSync(resolve("node_modules", name), join(modules, name));
  }
  const write = (name, text) => writeFileSync(join(project, name), text);
  write("package.json", JSON.stringify({ type: "module" }));
  return { project, write };
}

function run(program, args, cwd) {
  const result = spawnSync(program, args, { cwd, encoding: "utf8" });
  assert.equal(result.status, 0, `${program} ${args.join(" ")}\n${result.stdout}${result.stderr}`);
  return result;
}

test("files for browsers need nothing beside them", () => {
  for (const name of ["index.js", "sw.js", "nearcast.js", "nearcast-sw.js"]) {
    const text = readFileSync(join("dist", name), "utf8");
    assert.deepEqual(text.match(/^(import|export) .* from .*$/gm) ?? [], [], name);
    assert.doesNotMatch(text, /\bprocess\.env\b/, name);
  }
});

test("every entry of the package is in it, its server starts from it, and its types are whole", (t) => {
  const { project, write } = installed(t);
  const files = Object.values(entries).flatMap((entry) =>
    typeof entry === "string" ? [entry] : Object.values(entry),
  );
  for (const file of [...files, ...Object.values(bin)]) {
    readFileSync(join(project, "node_modules/nearcast", file));
  }
  write(
    "server.mjs",
    `import { startServer } from "nearcast/server";
     const server = await startServer({ port: 0, sites: ["https://a.example"] });
     const { status } = await fetch(server.url + "/healthz");
     await server.close();
     process.exit(status === 200 ? 0 : 1);`,
  );
  run(process.execPath, ["server.mjs"], project);
  write(
    "page.ts",
    `import { start, type NearcastStats } from "nearcast";
     const nearcast = await start({ include: ["/media/**"], joinToken: async () => "nc1.x" });
     const { bytes, role }: NearcastStats = nearcast.stats();
     nearcast.addEventListener("stats", () => window.nearcast?.links());
     export const shared: number = role === "off" ? 0 : bytes.mesh;`,
  );
  write(
    "worker.ts",
    `import { attach, MeshFirst } from "nearcast/sw";
     attach({ route: false, onError: (error: unknown) => console.error(error) });
     export const strategy = new MeshFirst();`,
  );
  write(
    "server.ts",
    `import { type NearcastServer, mintJoinToken, startServer } from "nearcast/server";
     export const server: NearcastServer = await startServer({ sites: ["*"] });
     export const token: string = await mintJoinToken({ site: "https://a.example", secret: "s" });`,
  );
  for (const [file, moduleResolution, lib, types] of [
    ["page.ts", "bundler", "DOM", []],
    ["page.ts", "nodenext", "DOM", []],
    ["worker.ts", "bundler", "WebWorker", []],
    ["server.ts", "nodenext", "ES2023", ["node"]],
  ]) {
    const module = moduleResolution === "nodenext" ? "nodenext" : "esnext";
    const compilerOptions = {
      ...{ module, moduleResolution, types, target: "es2022", lib: [lib, "ES2023"] },
      ...{ noEmit: true, strict: true, skipLibCheck: false },
    };
    write("tsconfig.json", JSON.stringify({ compilerOptions, files: [file] }));
    run(process.execPath, [resolve("node_modules/@typescript/native/bin/tsc"), "-p", project]);
  }
});
