/** The parent's side of site.mjs: starts it, here or in a namespace, and calls its commands. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureMedia } from "./film.mjs";
import { freePort } from "./free-port.mjs";

const SITE = fileURLToPath(new URL("site.mjs", import.meta.url));

export class SiteProcess {
  #child;
  #folder = mkdtempSync(join(tmpdir(), "nearcast-bench-site-"));
  #waiting = new Map();
  #lastId = 0;
  url = "";

  /**
   * @param host Address to listen on.
   * @param name Host name in URLs; a page is a secure context only on localhost or by a browser flag.
   * @param root The folder of the origin's media.
   * @param prefix Words before the command, e.g. `ip netns exec NAME`.
   */
  static async start({
    host = "127.0.0.1",
    name = "localhost",
    port,
    prefix = [],
    root = ensureMedia(),
  } = {}) {
    const site = new SiteProcess();
    const [program, ...args] = [...prefix, process.execPath, SITE];
    site.#child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit", "ipc"] });
    site.#child.on("message", (message) => site.#receive(message));
    site.#child.on("exit", () => site.#receive({ error: "the site has ended" }));
    const keyFile = join(site.#folder, "key.pem");
    const argument = { host, name, port: port ?? (await freePort()), root, keyFile };
    site.url = await site.call("start", argument);
    return site;
  }

  /** Runs a command of the site (see the end of site.mjs). */
  call(name, argument) {
    const id = ++this.#lastId;
    const { promise, resolve, reject } = withResolvers();
    this.#waiting.set(id, { resolve, reject });
    this.#child.send({ id, name, argument }, (error) => error && reject(error));
    return promise;
  }

  /** The address of a page. */
  page(path, options = {}) {
    const parameters = new URLSearchParams({
      server: this.url.replace(/^http/, "ws"),
      lan: "true",
      ...options,
    });
    return `${this.url}${path}?${parameters}`;
  }

  async close() {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill("SIGKILL");
      await once(this.#child, "exit");
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** An answer without an id ends everything that still waits. */
  #receive({ id, result, error }) {
    for (const [waitingId, { resolve, reject }] of [...this.#waiting]) {
      if (id !== undefined && id !== waitingId) continue;
      this.#waiting.delete(waitingId);
      if (error === undefined) resolve(result);
      else reject(new Error(`Cannot use the site: ${error}`));
    }
  }
}

/** Node 20 has no `Promise.withResolvers`. */
function withResolvers() {
  let resolve;
  let reject;
  const promise = new Promise((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
