/** How long a first visitor's requests pass Nearcast by. */
import { openBrowser, using } from "../support/browser.mjs";
import { figure } from "../support/report.mjs";
import { SiteProcess } from "../support/site-process.mjs";

export const control = {
  help: "first line of the script tag → worker controls the page, first visit; twin: an empty worker",
  run: ({ runs }) =>
    using(async (track) => {
      const site = track(await SiteProcess.start());
      const browser = track(await openBrowser());
      await controlMs(browser, site.page("/control")); // the browser's own first time is nobody's
      const ours = [];
      const twin = [];
      for (let run = 0; run < runs; run++) {
        ours.push(await controlMs(browser, site.page("/control")));
        twin.push(await controlMs(browser, site.page("/control", { off: "", bare: "" })));
      }
      return { figures: [figure("time to control", "ms", { ours, twin })] };
    }),
};

async function controlMs(browser, url) {
  const context = await browser.createBrowserContext();
  try {
    const page = await context.newPage();
    await page.goto(url);
    await page.waitForFunction(() => window.controlledMs !== undefined, { polling: 20 });
    return await page.evaluate(() => window.controlledMs - window.scriptStartMs);
  } finally {
    await context.close();
  }
}
