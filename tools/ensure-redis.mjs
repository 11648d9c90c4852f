/** Installs `redis-server` for the tests of several nodes, where that needs no question (Debian as root). */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

const isThere = () =>
  ["redis-server", "valkey-server"].some(
    (program) => spawnSync(program, ["--version"]).error === undefined,
  );

function apt(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  return spawnSync("apt-get", args, { stdio: ["ignore", 2, 2], env }).status === 0;
}

const isDebian = process.platform === "linux" && existsSync("/etc/debian_version");
if (!isThere() && isDebian && process.getuid?.() === 0) {
  console.error("Installing redis-server (apt-get) ...");
  const install = () => apt("install", "-y", "--no-install-recommends", "redis-server");
  if (!install() && apt("update")) install();
}
if (!isThere()) console.error("There is no redis-server: tests with several nodes will be skipped");
