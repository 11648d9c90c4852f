/**
 * Many homes on one machine: a network namespace per viewer and one for the site, joined by the user-space router
 * netsim.c with a rate, a delay, a loss, a disorder and a queue per access link. Linux and root only.
 *
 * Everything made here carries this process's id in its name, and only that is ever removed; it is removed after a
 * failure and after Ctrl+C too.
 */
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureChrome } from "../../tools/ensure-browser.mjs";
import { openBrowser } from "../support/browser.mjs";
import { SiteProcess } from "../support/site-process.mjs";

const SOURCE = fileURLToPath(new URL("netsim.c", import.meta.url));
const CACHE = fileURLToPath(new URL("../../.cache/bench/", import.meta.url));
const PORT = 8080;
const LAB_MAX_S = 1_800;

/** A home: 10 Mbit/s up, 30 down, 5 ms each way (20 ms between two homes), a queue of 80 ms, no loss, no disorder. */
export const HOME = { upKbit: 10_000, downKbit: 30_000, delayMs: 5, queueMs: 80 };
/** The site: no limit of its own, so a viewer is 10 ms away from it. */
const DATA_CENTRE = { upKbit: 0, downKbit: 0, delayMs: 0, queueMs: 0 };

/** @returns What is missing to run a lab here, in one line; `undefined` if nothing is. */
export function labMissing() {
  if (process.platform !== "linux") return "namespaces need Linux";
  if (process.getuid() !== 0) return "namespaces need root";
  if (!existsSync("/dev/net/tun")) return "/dev/net/tun is missing";
  for (const [program, option] of [
    ["gcc", "--version"],
    ["ip", "-V"],
  ]) {
    try {
      execFileSync(program, [option], { stdio: "ignore" });
    } catch {
      return `the program ${program} is missing`;
    }
  }
  return undefined;
}

export class Lab {
  #folder = mkdtempSync(join(tmpdir(), "nearcast-lab-"));
  #namespaces = [];
  #browsers = new Set();
  #router;
  #onSignal = () => void this.close().finally(() => process.exit(130));
  #profiles = 0;
  site;

  /**
   * @param homes One access link per viewer, see {@link HOME}.
   * @param root The folder of the origin's media (default: the film).
   */
  static async open(homes, { root } = {}) {
    const lab = new Lab();
    for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, lab.#onSignal);
    try {
      await lab.#open(homes, root);
      return lab;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  async #open(homes, root) {
    const nodes = [DATA_CENTRE, ...homes].map((line, index) => ({
      ...line,
      ns: `ncb${process.pid}-${index}`,
      // A network of its own for every home, as with different providers.
      address: `10.77.${index}.1`,
    }));
    for (const { ns } of nodes) this.#addNamespace(ns);
    await this.#startRouter(nodes);
    for (const { ns, address } of nodes) {
      ip("-n", ns, "addr", "add", `${address}/8`, "dev", "eth0");
      ip("-n", ns, "link", "set", "eth0", "up", "txqueuelen", "1000");
      // Without a default route Chromium gathers no candidate at all.
      ip("-n", ns, "route", "add", "default", "dev", "eth0");
    }
    const [{ ns, address }] = nodes;
    const prefix = ["ip", "netns", "exec", ns];
    this.site = await SiteProcess.start({ host: address, name: address, port: PORT, prefix, root });
  }

  #addNamespace(ns) {
    ip("netns", "add", ns);
    this.#namespaces.push(ns);
    // A late IPv6 address is a network change to Chromium, and aborts requests.
    inside(
      ns,
      "sysctl",
      "-qw",
      "net.ipv6.conf.all.disable_ipv6=1",
      "net.ipv6.conf.default.disable_ipv6=1",
    );
    ip("-n", ns, "link", "set", "lo", "up");
  }

  async #startRouter(nodes) {
    const program = compileRouter();
    const lines = nodes.map(({ lossPpm = 0, reorderPpm = 0, ...line }) =>
      [
        ...[line.ns, line.address, line.upKbit, line.downKbit, line.delayMs, line.queueMs],
        ...[lossPpm, reorderPpm],
      ].join(":"),
    );
    this.#router = spawn(program, [join(this.#folder, "traffic.json"), ...lines], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, MAXSEC: String(LAB_MAX_S) },
    });
    const ended = once(this.#router, "exit").then(() => {
      throw new Error("Cannot start the router netsim");
    });
    ended.catch(() => undefined); // an end after the start is no failure
    await Promise.race([once(this.#router.stdout, "data"), ended]);
  }

  /** Bytes that went from node to node (0 is the site), headers included, up to a second old. */
  get traffic() {
    return JSON.parse(readFileSync(join(this.#folder, "traffic.json"), "utf8")).bytes;
  }

  /** A browser with an empty profile in the namespace of viewer `index` (from 0). */
  async browser(index) {
    const ns = this.#namespaces[index + 1];
    const wrapper = join(this.#folder, `${ns}.sh`);
    writeFileSync(wrapper, `#!/bin/sh\nexec ip netns exec ${ns} ${ensureChrome()} "$@"\n`, {
      mode: 0o755,
    });
    const userDataDir = join(this.#folder, `profile-${this.#profiles++}`);
    mkdirSync(userDataDir);
    const browser = await openBrowser({
      executablePath: wrapper,
      userDataDir,
      // The lab ends its browsers itself, before their namespaces.
      handleSIGINT: false,
      handleSIGTERM: false,
      handleSIGHUP: false,
      args: [
        `--unsafely-treat-insecure-origin-as-secure=${this.site.url}`,
        // mDNS names need multicast, which the router does not carry.
        "--disable-features=WebRtcHideLocalIpsWithMdns",
      ],
    });
    this.#browsers.add(browser);
    return browser;
  }

  /** Ends one browser; `abruptly` without a goodbye, as a lost laptop does. */
  async end(browser, { abruptly = false } = {}) {
    this.#browsers.delete(browser);
    if (abruptly) browser.process().kill("SIGKILL");
    await browser.close().catch(() => undefined);
  }

  async close() {
    for (const signal of ["SIGINT", "SIGTERM"]) process.off(signal, this.#onSignal);
    await Promise.all([...this.#browsers].map((browser) => this.end(browser)));
    await this.site?.close();
    this.#router?.kill("SIGTERM");
    for (const ns of this.#namespaces.splice(0)) {
      // What is left inside was started inside, by us.
      const left = execFileSync("ip", ["netns", "pids", ns]).toString().trim();
      for (const pid of left ? left.split("\n").map(Number) : []) killQuietly(pid);
      ip("netns", "del", ns);
    }
    await new Promise((resolve) => setTimeout(resolve, 200)); // the killed still write to their profiles
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Compiles the router once per version of it. */
function compileRouter() {
  const version = createHash("sha256").update(readFileSync(SOURCE)).digest("hex").slice(0, 8);
  const program = join(CACHE, `netsim-${version}`);
  if (!existsSync(program)) {
    mkdirSync(CACHE, { recursive: true });
    execFileSync("gcc", ["-O2", "-o", program, SOURCE], { stdio: ["ignore", "ignore", "inherit"] });
  }
  return program;
}

const ip = (...args) => execFileSync("ip", args);
const inside = (ns, ...command) => ip("netns", "exec", ns, ...command);

function killQuietly(pid) {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it ended by itself
  }
}
