import puppeteer from "puppeteer-core";
import { startServer } from "../../dist/server.js";
import { chromeArgs, ensureChrome } from "../../tools/ensure-browser.mjs";
import { differences, openSuite, runInPage } from "./suite.mjs";

const suite = await openSuite((p) =>
  p.has("off")
    ? ""
    : `<script src="/nearcast.js" data-server="${p.get("server")}" data-include="${p.get("include")}"></script><script>window.ready=new Promise(d=>addEventListener("nearcast:ready",d,{once:true}))</script>`,
);
const index = await startServer({ port: 0, sites: [suite.url], origins: [suite.url + "/test/"] });
const browser = await puppeteer.launch({
  headless: true,
  executablePath: ensureChrome(),
  args: chromeArgs(),
  pipe: true,
  protocolTimeout: 240000,
});
const open = async (q) => {
  const c = await browser.createBrowserContext();
  const page = await c.newPage();
  await page.goto(`${suite.url}/page?${new URLSearchParams(q)}`);
  await page.evaluate(() => window.ready);
  return page;
};
console.time("all");
const pages = await Promise.all([
  open({ off: "" }),
  open({ server: index.url.replace("http", "ws"), include: "/none/**" }),
  open({ server: index.url.replace("http", "ws"), include: "/test/**" }),
]);
console.log(
  await Promise.all(
    pages
      .slice(1)
      .map((p) => p.evaluate(() => [!!navigator.serviceWorker.controller, nearcast.stats().role])),
  ),
);
const r = await Promise.all(pages.map((p) => p.evaluate(runInPage, undefined)));
console.timeEnd("all");
console.log(
  r.map((x) => Object.keys(x).length),
  "bare/none",
  differences(r[0], r[1]),
);
for (const [id, a, b] of differences(r[0], r[2])) console.log(id, a, b, r[0][id], r[2][id]);
console.log(await pages[2].evaluate(() => nearcast.stats()));
await browser.close();
suite.close();
await index.close();
