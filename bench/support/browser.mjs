/** Browsers of the benchmarks that need no namespaces: every profile is a process of its own with an empty store. */
import puppeteer from "puppeteer-core";
import { chromeArgs, ensureChrome } from "../../tools/ensure-browser.mjs";

/** @param options More options for puppeteer. */
export function openBrowser({ args = [], ...options } = {}) {
  return puppeteer.launch({
    executablePath: ensureChrome(),
    headless: true,
    pipe: true,
    protocolTimeout: 300_000,
    // Nobody listens, and an event for every chunk of a body costs the very processors that are measured.
    networkEnabled: false,
    args: [...chromeArgs(), ...args],
    ...options,
  });
}

/** Opens a page and, where Nearcast is on it, waits until its worker controls the page. */
export async function openPage(browser, url) {
  const page = await browser.newPage();
  await page.goto(url);
  if (!url.includes("off=")) await page.evaluate(() => window.ready);
  return page;
}

/** Joins the mesh: the first accelerated request does that. Resolves with that many links. */
export async function join(page, { path, links = 0 }) {
  await page.evaluate((url) => window.timedFetch(url), path);
  await page.waitForFunction(
    (count) => {
      const stats = window.nearcast.stats();
      return stats.index === "open" && stats.links >= count;
    },
    { polling: 50, timeout: 30_000 },
    links,
  );
}

export const statsOf = (page) => page.evaluate(() => window.nearcast.stats());

export const timedFetch = (page, path, init) =>
  page.evaluate((url, options) => window.timedFetch(url, options), path, init);

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Runs something with a fresh resource and ends that in any case. */
export async function using(run) {
  const opened = [];
  const track = (resource) => {
    opened.push(resource);
    return resource;
  };
  try {
    return await run(track);
  } finally {
    for (const resource of opened.reverse()) await resource.close();
  }
}
