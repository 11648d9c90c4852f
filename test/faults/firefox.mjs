/**
 * What DevTools do to Chromium, done to Firefox from within: BiDi reaches the browser's own scripts if it was started with
 * `--remote-allow-system-access`, as `openRig().launch("firefox")` does.
 * @module
 */

/** Evaluates an expression in the browser's own scope; a string comes back. */
async function evaluate({ connection }, expression) {
  const tree = await connection.send("browsingContext.getTree", {
    "moz:scope": "chrome",
    maxDepth: 0,
  });
  const [{ context }] = tree.result.contexts;
  const { result } = await connection.send("script.evaluate", {
    ...{ target: { context }, expression, awaitPromise: true },
  });
  if (/Services is not defined/.test(result.exceptionDetails?.text)) {
    // Before `moz:scope`, as in 140 ESR, the tree is that of the pages whatever was asked for.
    throw new Error(
      "This Firefox is too old: its own scripts cannot be reached (153 ESR lets them)",
    );
  }
  if (result.type === "exception") throw new Error(result.exceptionDetails.text);
  return result.result.value;
}

/** The page's profile, of which the browser has many: an expression whose value is the principal of its site. */
async function principalOf(page) {
  const mark = `mark ${Math.random()}`;
  const title = await page.evaluate((text) => {
    const before = document.title;
    document.title = text;
    return before;
  }, mark);
  const find = `(() => {
    for (const window of Services.wm.getEnumerator("navigator:browser"))
      for (const { linkedBrowser } of window.gBrowser.tabs)
        if (linkedBrowser.contentTitle === ${JSON.stringify(mark)})
          return linkedBrowser.contentPrincipal;
    return null;
  })()`;
  // The title takes a moment from the page's process to the browser's.
  while ((await evaluate(page.browser(), `String(${find} !== null)`)) !== "true");
  const origin = await evaluate(page.browser(), `${find}.origin`);
  await page.evaluate((text) => {
    document.title = text;
  }, title);
  return `Services.scriptSecurityManager.createContentPrincipalFromOrigin(${JSON.stringify(origin)})`;
}

/** Stops the workers of the page's profile, whatever they are doing, and resolves when they are gone. */
export async function terminateWorkers(page) {
  const principal = await principalOf(page);
  const stopped = await evaluate(
    page.browser(),
    `(async () => {
      const principal = ${principal};
      const manager = Cc["@mozilla.org/serviceworkers/manager;1"].getService(Ci.nsIServiceWorkerManager);
      const all = manager.getAllRegistrations();
      let stopped = 0;
      for (let at = 0; at < all.length; at++) {
        const registration = all.queryElementAt(at, Ci.nsIServiceWorkerRegistrationInfo);
        if (!registration.principal.equals(principal) || !registration.activeWorker) continue;
        await registration.activeWorker.terminateWorker();
        stopped++;
      }
      return String(stopped);
    })()`,
  );
  if (stopped === "0") throw new Error("The page's profile has no worker");
}

/** Deletes all databases of the page's profile, open ones too. */
export async function clearDatabases(page) {
  const principal = await principalOf(page);
  await evaluate(
    page.browser(),
    `(async () => {
      const request = Services.qms.clearStoragesForClient(${principal}, "idb");
      await new Promise((done) => { request.callback = done; });
      if (request.resultCode !== Cr.NS_OK) throw new Error("code " + request.resultCode);
      return "";
    })()`,
  );
}
