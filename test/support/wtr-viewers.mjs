/**
 * Further viewers inside one browser test: each is a page in a browser context of its own, with its own
 * worker, cache and storage. Tests use them through test/support/viewers.ts.
 * @module
 */

/** @returns A plugin for `plugins` of the web-test-runner configuration. */
export function viewersPlugin() {
  /** Viewer id -> its browser context, its page and the uncaught errors of that page. */
  const viewers = new Map();
  let lastId = 0;
  let baseUrl = "";

  async function open({ path = "/viewer.html" }, session) {
    const browser = session.browser.getPage(session.id).browser();
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    const id = `viewer-${++lastId}`;
    const errors = [];
    viewers.set(id, { context, page, errors });
    page.on("pageerror", (error) => errors.push(String(error)));
    await page.goto(new URL(path, baseUrl).href, { waitUntil: "load" });
    return { id };
  }

  /** Runs `(source)(argument)` in the viewer and waits for its promise; the value travels as JSON. */
  async function evaluate({ id, source, argument }) {
    const { page } = viewerOf(id);
    const expression = `(${source})(${JSON.stringify(argument) ?? "undefined"})`;
    const value = await page.evaluate(expression);
    return { value: value ?? null };
  }

  async function close({ id }) {
    const { context, errors } = viewerOf(id);
    viewers.delete(id);
    await context.close();
    return { errors };
  }

  function viewerOf(id) {
    const viewer = viewers.get(id);
    if (viewer === undefined) throw new Error(`Cannot find viewer "${id}": it is not open`);
    return viewer;
  }

  const commands = { "viewer:open": open, "viewer:eval": evaluate, "viewer:close": close };

  return {
    name: "viewers",

    serverStart({ config }) {
      const { hostname = "localhost", port, protocol = "http:" } = config;
      baseUrl = `${protocol}//${hostname}:${port}`;
    },

    async serverStop() {
      await Promise.allSettled([...viewers.values()].map(({ context }) => context.close()));
      viewers.clear();
    },

    executeCommand({ command, payload, session }) {
      return Object.hasOwn(commands, command)
        ? commands[command](payload ?? {}, session)
        : undefined;
    },
  };
}
