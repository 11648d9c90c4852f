/**
 * A stage whose viewers live in homes of their own, in network namespaces: the line of the peer loses packets or
 * mixes up their order, the victim's and its twin's does not. DevTools' own packet loss does not touch data channels that are open already.
 * @module
 */
import { rmSync } from "node:fs";
import { HOME, Lab } from "../../bench/net/lab.mjs";
import { openPage } from "../../bench/support/browser.mjs";
import { holds, linked } from "../e2e/support/rig.mjs";
import { LINE, makeFiles, timedFetch } from "./frame.mjs";

/** @param line Of the peer, as far as it is not like {@link HOME}: `lossPpm`, `reorderPpm`, each way. */
export async function openLossyStage(line) {
  const { folder, hashes, paths } = makeFiles();
  const lab = await Lab.open([{ ...HOME, ...line }, HOME], { root: folder });
  const close = async () => {
    await lab.close();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const { site } = lab;
    const open = async (browser, options) => {
      const page = await openPage(browser, site.page("/blank", options));
      page.errors = [];
      page.on("pageerror", (error) => page.errors.push(String(error)));
      return page;
    };
    const seeder = await open(await lab.browser(0));
    for (const path of paths) await holds(seeder, path);
    await site.call("throttle", LINE);
    const browser = await lab.browser(1);
    const twin = await open(await browser.createBrowserContext(), { off: "" });
    const victim = await open(browser);
    await timedFetch(victim, "/media/join.bin");
    await linked(victim, 1);
    return { browser, folder, hashes, paths, seeders: [seeder], twin, victim, close };
  } catch (error) {
    await close();
    throw error;
  }
}
