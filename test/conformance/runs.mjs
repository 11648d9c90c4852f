/**
 * The four runs of the suite. In one Chromium, side by side: the bare browser, the worker with nothing to
 * accelerate, the worker that accelerates all of it. In Node: two clients that share by the sharing policy alone.
 * @module
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import puppeteer from "puppeteer-core";
import { startServer } from "../../dist/server.js";
import { chromeArgs, ensureChrome } from "../../tools/ensure-browser.mjs";
import { openSuite, runInPage } from "./suite.mjs";

const READY = `<script>window.ready = new Promise((done) => addEventListener("nearcast:ready", done, { once: true }))</script>`;

/** Without `server` in the query: the page of a site without Nearcast. */
const tagOf = (parameters) =>
  parameters.has("server")
    ? `<script src="/nearcast.js" data-server="${parameters.get("server")}" data-include="${parameters.get("include")}"></script>${READY}`
    : "";

/** @returns `{ chromium, bare, idle, accelerated, fromStore }`: results by id; requests answered from the store. */
export async function runBrowsers({ only } = {}) {
  const suite = await openSuite(tagOf);
  const index = await startServer({
    port: 0,
    sites: [suite.url],
    origins: [`${suite.url}/test/`],
    privateOrigins: true,
    // One page stands for a hundred at once.
    ...{ attestConcurrentMax: 64, messagesPerSecond: 1_000, messagesBurst: 1_000 },
  });
  const browser = await puppeteer.launch({
    headless: true,
    executablePath: ensureChrome(),
    args: chromeArgs(),
    pipe: true,
    protocolTimeout: 240_000,
  });
  const server = index.url.replace(/^http/, "ws");
  const open = async (query) => {
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    await page.goto(`${suite.url}/page?${new URLSearchParams(query)}`);
    await page.evaluate(() => window.ready);
    return page;
  };
  const silent = console.log;
  try {
    const pages = [
      await open({}),
      await open({ server, include: "/none/**" }),
      await open({ server, include: "/test/**" }),
    ];
    const controlled = (page) => page.evaluate(() => navigator.serviceWorker.controller !== null);
    const control = await Promise.all(pages.map(controlled));
    if (control.join() !== "false,true,true") throw new Error(`Workers in control: ${control}`);
    console.log = () => undefined; // the suite's server comments on every test
    const results = await Promise.all(pages.map((page) => page.evaluate(runInPage, only)));
    const [bare, idle, accelerated] = results;
    const fromStore = await pages[2].evaluate(() => window.nearcast.stats().requests.cache);
    return { chromium: await browser.version(), bare, idle, accelerated, fromStore };
  } finally {
    console.log = silent;
    await browser.close();
    suite.close();
    await index.close();
  }
}

/**
 * The shared-cache tests, in a process of its own, as the suite keeps its results in its modules.
 *
 * @param shared `false`: two clients that share nothing.
 */
export async function runClients(shared) {
  const child = fork("test/conformance/clients.mjs", [shared ? "shared" : "apart"], {
    silent: true,
  });
  child.stdout.resume();
  const [results] = await Promise.race([
    once(child, "message"),
    once(child, "exit").then(([code]) => Promise.reject(new Error(`clients ended: ${code}`))),
  ]);
  child.disconnect();
  return results;
}
