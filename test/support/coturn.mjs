/**
 * Debian's coturn as it is recommended to sites (docs/turnserver.conf), on this machine only.
 * @module
 */
import { spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";

/** Why tests of TURN are skipped; `false` if they need not be. */
export const noCoturn =
  spawnSync("turnserver", ["--version"]).error !== undefined &&
  "coturn is not installed (apt-get install coturn)";

export const TURN_SECRET = "the secret that coturn and the server share";

/** An address of this machine that browsers use: they leave loopback out where there is another. */
export const ownAddress =
  Object.values(networkInterfaces())
    .flat()
    .find(({ internal, family }) => !internal && family === "IPv4")?.address ?? "127.0.0.1";

/** @returns `{ url, port }` of a relay that ends with the test. */
export async function coturnFor(t, { more = [] } = {}) {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "nearcast-coturn-"));
  const file = join(folder, "turnserver.conf");
  const recommended = readFileSync("docs/turnserver.conf", "utf8")
    .replace(/^static-auth-secret=.*$/m, `static-auth-secret=${TURN_SECRET}`)
    .replace(/^listening-port=.*$/m, `listening-port=${port}`);
  const here = ["listening-ip", "relay-ip", "allowed-peer-ip"].map((key) => `${key}=${ownAddress}`);
  const own = [
    "no-tls",
    "no-dtls",
    `userdb=${join(folder, "db")}`,
    `pidfile=${join(folder, "pid")}`,
  ];
  writeFileSync(file, [recommended, ...here, ...own, ...more].join("\n"));
  const child = spawn(
    "turnserver",
    ["-c", file, "-n", "--log-file", "stdout", "--simple-log"].filter((word) => word !== "-n"),
    {
      stdio: ["ignore", "pipe", "pipe"],
      cwd: folder,
    },
  );
  t.after(async () => {
    if (child.exitCode === null) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    rmSync(folder, { recursive: true, force: true });
  });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data) => {
      log += data;
    });
  }
  await answering(port, () => log);
  return { port, url: `turn:${ownAddress}:${port}?transport=udp`, log: () => log };
}

async function freePort() {
  const socket = createSocket("udp4");
  await new Promise((resolve) => socket.bind(0, resolve));
  const { port } = socket.address();
  await new Promise((resolve) => socket.close(resolve));
  return port;
}

/** A STUN binding request, repeated until somebody answers. */
async function answering(port, log) {
  const request = Buffer.concat([
    Buffer.from([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]),
    Buffer.alloc(12, 7),
  ]);
  const socket = createSocket("udp4");
  const answer = once(socket, "message");
  const timer = setInterval(() => socket.send(request, port, ownAddress), 50);
  const limit = new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`coturn does not answer: ${log()}`)), 10_000).unref();
  });
  try {
    await Promise.race([answer, limit]);
  } finally {
    clearInterval(timer);
    socket.close();
  }
}
