// The command line, as a process.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { folderFor, SITE, viewerFor } from "./support.mjs";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

function run(t, args, env = {}) {
  const child = spawn(process.execPath, [CLI, ...args], {
    env: { PATH: process.env.PATH, ...env },
  });
  t.after(() => child.kill("SIGKILL"));
  let output = "";
  let errors = "";
  child.stdout.on("data", (data) => {
    output += data;
  });
  child.stderr.on("data", (data) => {
    errors += data;
  });
  const exit = once(child, "close").then(([code]) => ({ code, output, errors }));
  const url = async () => {
    for (;;) {
      const match = /listens on (http:\S+)/.exec(output);
      if (match) return match[1];
      await once(child.stdout, "data");
    }
  };
  const erred = async (pattern) => {
    while (!pattern.test(errors)) await once(child.stderr, "data");
  };
  return { child, exit, url, erred };
}

for (const signal of ["SIGTERM", "SIGINT"]) {
  test(`serve prints its address, works, and drains with code 0 on ${signal}`, async (t) => {
    const { child, exit, url } = run(t, ["serve", "--port", "0", "--site", SITE]);
    const viewer = await viewerFor(t, { url: await url() });
    child.kill(signal);
    assert.equal(await viewer.closed, 1012);
    assert.equal((await exit).code, 0);
  });
}

test("flags win over the environment, which wins over the file", async (t) => {
  const config = join(await folderFor(t), "server.json");
  const file = {
    port: 70_000,
    sites: ["http://file.test"],
    origins: ["http://o.test"],
    lan: false,
  };
  await writeFile(config, JSON.stringify(file));
  const { url } = run(t, ["serve", "--port=0", "--lan"], {
    NEARCAST_CONFIG: config,
    NEARCAST_PORT: "80000",
    NEARCAST_SITE: `http://other.test, ${SITE}`,
  });
  await viewerFor(t, { url: await url() });
});

test("a variable that is set to nothing is not set", async (t) => {
  const { url } = run(t, ["serve", "--port", "0", "--site", SITE], {
    NEARCAST_CONFIG: "",
    NEARCAST_HOST: "",
    NEARCAST_LAN: "",
    NEARCAST_ORIGIN: "",
  });
  await viewerFor(t, { url: await url() });
});

test("a switch is said by its name alone, after an equals sign or a space; flags alone are the server's", async (t) => {
  for (const [args, enabled] of [
    [["serve", "--enabled"], true],
    [["serve", "--enabled=false"], false],
    [["serve", "--enabled", "false"], false],
    [["--enabled", "0"], false],
  ]) {
    const { url } = run(t, [...args, "--port", "0", "--site", SITE]);
    const config = await (await fetch(`${await url()}/peerjs/config`)).json();
    assert.equal(config.enabled, enabled, args.join(" "));
  }
});

for (const how of ["when the file changes", "on SIGHUP"]) {
  test(`I8, S22: the settings of the sites are read again ${how} and pushed to open pages`, async (t) => {
    const config = join(await folderFor(t), "server.json");
    const write = (more) => writeFile(config, JSON.stringify({ port: 0, sites: [SITE], ...more }));
    await write({ uploadMaxRate: 5 });
    const { child, url, erred } = run(t, ["serve", "--config", config]);
    const viewer = await viewerFor(t, { url: await url() });
    assert.equal((await viewer.settled()).config.enabled, true);
    const told = () => viewer.heard(({ type }) => type === "config");
    const again = () => how === "on SIGHUP" && child.kill("SIGHUP");
    await write({ siteSettings: { [SITE]: { enabled: false, rampPercent: 7 } } });
    again();
    const { enabled, rampPercent, uploadMaxRate } = (await told()).config;
    assert.deepEqual(
      { enabled, rampPercent, uploadMaxRate },
      { enabled: false, rampPercent: 7, uploadMaxRate: 0 },
    );
    // A mistake changes nothing, and says what is wrong.
    await write({ rampPercent: 101 });
    again();
    await erred(/kept the old settings: .*`rampPercent` must be an integer from 0 to 100: .* 101/);
    assert.equal((await viewer.settled()).config.rampPercent, 7);
    await write({});
    again();
    assert.equal((await told()).config.enabled, true);
  });
}

test("bad input ends with code 2 and one line that names field, value and rule", async (t) => {
  const other = run(t, ["serve", "--port", "0", "--site", SITE]);
  const taken = new URL(await other.url()).port;
  const folder = await folderFor(t);
  const list = join(folder, "list.json");
  await writeFile(list, "[]");
  const unknown = join(folder, "unknown.json");
  const redis = join(folder, "redis.json");
  await writeFile(redis, `{"redis":6379}`);
  await writeFile(unknown, `{"sites":["*"],"colour":"red"}`);
  for (const [args, env, message] of [
    [["serve"], {}, /sites/],
    [["serve", "--site", "*", "--port", "x"], {}, /--port must be a whole number.*"x"/],
    [["serve", "--site", "*", "--port", "70000"], {}, /`port` must be .* 65535: .* 70000/],
    [["serve", "--site", "*", "--colour", "red"], {}, /--colour/],
    [["serve", "--site", "*", "--root", "/"], {}, /`origins`/],
    [["serve", "--site", "*"], { NEARCAST_TRUST_PROXY: "maybe" }, /NEARCAST_TRUST_PROXY.*maybe/],
    [["serve", "--config", list], {}, /--config must hold a JSON object/],
    [["serve", "--config", join(folder, "none")], {}, /--config/],
    [["serve", "--config", unknown], {}, /unknown option "colour"/],
    [["serve", "--site", "*", "--redis", "http://x"], {}, /`redis` must be redis:/],
    [["serve", "--site", "*"], { NEARCAST_REDIS: "http://x" }, /`redis` must be redis:/],
    [["serve", "--site", "*", "--config", redis], {}, /`redis` must be a non-empty string.* 6379/],
    [["serve", "--site", "*", "--join-secret", "short"], {}, /`joinSecret` must have at least 32/],
    [["serve", "--site", "*", "--require-token"], {}, /`requireToken` needs `joinSecret`/],
    [["serve", "--site", "*", "--min-version", "new"], {}, /`minVersion` must be a version/],
    [["serve", "--site", "*", "--lan", "maybe"], {}, /--lan must be true or false.*"maybe"/],
    [
      ["serve", "--site", "*", "--host", "203.0.113.1"],
      {},
      /--host .*this machine.*203\.0\.113\.1/,
    ],
    [["serve", "--site", "*", "--port", taken], {}, new RegExp(`--port must be free.* ${taken},`)],
    [["--site", "*", "--port", "x"], {}, /--port must be a whole number.*"x"/],
    [["conquer"], {}, /Usage/],
  ]) {
    const { code, output, errors } = await run(t, args, env).exit;
    assert.equal(code, 2, errors);
    assert.equal(output, "");
    assert.match(errors, message);
    assert.equal(errors.trim().split("\n").length, 1, errors);
  }
});

test("--help lists every flag and ends with code 0", async (t) => {
  const { code, output } = await run(t, ["serve", "--help"]).exit;
  assert.equal(code, 0);
  for (const flag of ["host", "port", "site", "origin", "root", "key-file", "ice", "config"]) {
    assert.match(output, new RegExp(`--${flag} `));
  }
});

test("nearcast says what it can do on the output if asked, on the errors if it must guess", async (t) => {
  for (const args of [[], ["--help"], ["-h"], ["help"]]) {
    const asked = await run(t, args).exit;
    assert.match(asked.output, /^Usage: nearcast serve\|manifest\|doctor/);
    assert.deepEqual([asked.code, asked.errors], [0, ""]);
  }
  const { version } = JSON.parse(await readFile("package.json", "utf8"));
  for (const flag of ["--version", "-v"]) {
    assert.deepEqual(await run(t, [flag]).exit, { code: 0, output: `${version}\n`, errors: "" });
  }
  const wrong = await run(t, ["nonsense"]).exit;
  assert.match(wrong.errors, /^Usage: nearcast/);
  assert.deepEqual([wrong.code, wrong.output], [2, ""]);
});
