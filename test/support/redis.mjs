/**
 * Debian's redis-server (or valkey-server) on this machine only, to be killed, stopped and started again.
 * @module
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@redis/client";

const installed = (program) => spawnSync(program, ["--version"]).error === undefined;

/** The servers that are installed. */
export const PROGRAMS = ["redis-server", "valkey-server"].filter(installed);

/** Why tests with Redis are skipped; `false` if they need not be. */
export const noRedis =
  PROGRAMS.length === 0 && "redis-server is not installed (apt-get install redis-server)";

/** @returns A Redis that ends with the test. */
export async function redisFor(t, { program = PROGRAMS[0], args = [] } = {}) {
  const redis = new RedisProcess(program, await freePort(), args);
  t.after(() => redis.end());
  await redis.start();
  return redis;
}

/** One server without a disk. */
export class RedisProcess {
  #program;
  #args;
  #child;
  #clients = [];
  #folder = mkdtempSync(join(tmpdir(), "nearcast-redis-"));
  port;

  constructor(program, port, args = []) {
    this.#program = program;
    this.#args = args;
    this.port = port;
  }

  get url() {
    return `redis://127.0.0.1:${this.port}`;
  }

  async start() {
    const own = ["--port", String(this.port), "--bind", "127.0.0.1", "--dir", this.#folder];
    const empty = ["--save", "", "--appendonly", "no"];
    this.#child = spawn(this.#program, [...own, ...empty, ...this.#args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let log = "";
    for await (const chunk of this.#child.stdout) {
      log += chunk;
      if (/Ready to accept connections/.test(log)) break;
    }
    if (this.#child.exitCode !== null) throw new Error(`Cannot start ${this.#program}: ${log}`);
    this.#child.stdout.resume();
  }

  /** SIGKILL: everything is forgotten. */
  async kill() {
    if (!this.#child || this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGCONT");
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }

  /** SIGSTOP: connections stay open, and nothing is answered. */
  pause() {
    this.#child.kill("SIGSTOP");
  }

  resume() {
    this.#child.kill("SIGCONT");
  }

  async end() {
    for (const client of this.#clients) client.destroy();
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** A client that ends with the server. */
  async client(url = this.url) {
    const client = createClient({ url, disableClientInfo: true });
    client.on("error", () => {});
    this.#clients.push(await client.connect());
    return client;
  }

  /** Runs one command and tells its answer. */
  async ask(...args) {
    const client = await createClient({ url: this.url }).connect();
    try {
      return await client.sendCommand(args);
    } finally {
      client.destroy();
    }
  }

  /** All keys, each with its type and the time it has left, in milliseconds (-1: for ever). */
  async keys() {
    const client = await createClient({ url: this.url }).connect();
    try {
      const keys = await client.sendCommand(["KEYS", "*"]);
      return await Promise.all(
        keys.map(async (key) => ({
          key,
          type: await client.sendCommand(["TYPE", key]),
          ttlMs: Number(await client.sendCommand(["PTTL", key])),
        })),
      );
    } finally {
      client.destroy();
    }
  }
}

export async function freePort() {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
