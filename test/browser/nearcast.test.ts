/** The SDK from its sources: real worker, real links, the real server, viewers with storage of their own. */
import { expect } from "chai";
import { testEnvironment } from "../support/env.js";
import { openViewer, type Viewer } from "../support/viewers.js";

const FILE = "/media/gallery/01-first-light.jpg";

interface Answer {
  readonly status: number;
  readonly hash: string;
}

/** A viewer that runs the SDK and is controlled by the worker. */
async function openWithSdk(options: object = {}): Promise<Viewer> {
  const { serverPort, originPort } = await testEnvironment();
  const viewer = await openViewer();
  await viewer.run(
    async ({ server, include, more }) => {
      const { start } = await import("/src/index.ts" as string);
      await start({ server, include, lan: true, ...more });
    },
    {
      server: `ws://127.0.0.1:${serverPort}`,
      include: `http://127.0.0.1:${originPort}/media/**`,
      more: options,
    },
  );
  return viewer;
}

async function fetchIn(viewer: Viewer, path: string): Promise<Answer> {
  const { originPort } = await testEnvironment();
  return viewer.run(async (url) => {
    const response = await fetch(url);
    const digest = await crypto.subtle.digest("SHA-256", await response.arrayBuffer());
    const hash = Array.from(new Uint8Array(digest), (byte) => byte.toString(16)).join("-");
    return { status: response.status, hash };
  }, `http://127.0.0.1:${originPort}${path}`);
}

/** Waits in the viewer until its statistics say so. */
async function untilStats(viewer: Viewer, path: readonly string[], atLeast: number): Promise<void> {
  await viewer.run(
    ({ keys, least }) =>
      new Promise<void>((resolve) => {
        const value = () =>
          keys.reduce<unknown>(
            (object, key) => (object as Record<string, unknown>)[key],
            window.nearcast?.stats(),
          );
        const check = () => {
          if ((value() as number) >= least) resolve();
          else requestAnimationFrame(check);
        };
        check();
      }),
    { keys: path, least: atLeast },
  );
}

declare global {
  interface Window {
    nearcast?: {
      stats(): unknown;
      stop(): void;
      pause(): void;
      resume(): void;
      consent(given: boolean): void;
      readonly ready: Promise<void>;
    };
  }
}

describe("start()", () => {
  it("start() makes two viewers share a picture, verified and equal", async () => {
    const first = await openWithSdk();
    const expected = await fetchIn(first, FILE);
    expect(expected.status).to.equal(200);
    await untilStats(first, ["bytes", "origin"], 1);

    const second = await openWithSdk();
    await fetchIn(second, "/media/gallery/02-morning-mist.jpg"); // joins
    await untilStats(second, ["links"], 1);
    expect(await fetchIn(second, FILE)).to.deep.equal(expected);
    await untilStats(second, ["bytes", "mesh"], 1);
    await untilStats(first, ["bytes", "uploaded"], 1);
    expect([...(await first.close()), ...(await second.close())]).to.deep.equal([]);
  });

  it("start() with upload: never takes from others and gives nothing", async () => {
    const mean = await openWithSdk({ upload: "never" });
    const expected = await fetchIn(mean, FILE);
    const other = await openWithSdk();
    await fetchIn(other, "/media/gallery/02-morning-mist.jpg"); // joins
    await untilStats(other, ["links"], 1);
    expect(await fetchIn(other, FILE)).to.deep.equal(expected);
    // The other one gives: the mean viewer is linked and may ask.
    expect(await fetchIn(mean, "/media/gallery/02-morning-mist.jpg")).to.include({ status: 200 });
    await untilStats(mean, ["bytes", "mesh"], 1);
    const stats = (await other.run(() => window.nearcast?.stats())) as { bytes: object };
    expect(stats.bytes).to.include({ mesh: 0 });
    expect([...(await mean.close()), ...(await other.close())]).to.deep.equal([]);
  });

  it("start() with consent: required does nothing before consent(true) and again after consent(false)", async () => {
    const viewer = await openWithSdk({ consent: "required" });
    const state = () =>
      viewer.run(() => {
        const stats = window.nearcast?.stats() as { role?: string; reason?: string } | undefined;
        return { role: stats?.role, reason: stats?.reason };
      });
    expect(await state()).to.deep.equal({ role: "off", reason: "consent" });
    expect(
      await viewer.run(async () => (await navigator.serviceWorker.getRegistrations()).length),
    ).to.equal(0);
    await viewer.run(async () => {
      window.nearcast?.consent(true);
      await window.nearcast?.ready;
    });
    await fetchIn(viewer, FILE);
    await untilStats(viewer, ["bytes", "origin"], 1);
    await viewer.run(() => window.nearcast?.consent(false));
    expect(await state()).to.deep.equal({ role: "off", reason: "consent" });
    expect(await fetchIn(viewer, FILE)).to.include({ status: 200 });
    expect(await viewer.close()).to.deep.equal([]);
  });

  it("pause() sends requests to the origin and resume() shares again", async () => {
    const viewer = await openWithSdk();
    const expected = await fetchIn(viewer, FILE);
    await viewer.run(() => window.nearcast?.pause());
    expect(await viewer.run(() => window.nearcast?.stats())).to.include({
      role: "off",
      reason: "paused",
    });
    expect(await fetchIn(viewer, FILE)).to.deep.equal(expected);
    await viewer.run(() => window.nearcast?.resume());
    expect(await viewer.run(() => window.nearcast?.stats())).to.include({ role: "host" });
    expect(await fetchIn(viewer, FILE)).to.deep.equal(expected);
    await viewer.run(() => window.nearcast?.stop());
    expect(await fetchIn(viewer, FILE)).to.deep.equal(expected);
    expect(await viewer.run(() => window.nearcast?.stats())).to.include({
      role: "off",
      reason: "stopped",
    });
    expect(await viewer.close()).to.deep.equal([]);
  });

  it("start() makes no database before there is something to keep", async () => {
    const viewer = await openWithSdk();
    const stored = () =>
      viewer.run(async () => (await indexedDB.databases()).map(({ name }) => name));
    expect(await stored()).not.to.include("nearcast-assets");
    await fetchIn(viewer, FILE);
    await viewer.run(
      () =>
        new Promise<void>((resolve) => {
          const look = async () => {
            const names = (await indexedDB.databases()).map(({ name }) => name);
            if (names.includes("nearcast-windows")) resolve();
            else requestAnimationFrame(look);
          };
          void look();
        }),
    );
    expect(await stored()).to.include.members(["nearcast-assets", "nearcast-pieces"]);
    expect(await viewer.close()).to.deep.equal([]);
  });

  it("start() hears what is called in the same task", async () => {
    const { serverPort } = await testEnvironment();
    const server = `ws://127.0.0.1:${serverPort}`;
    for (const [call, reason] of [
      ["pause", "paused"],
      ["stop", "stopped"],
    ] as const) {
      const viewer = await openViewer();
      const seen = await viewer.run(
        async ({ options, method }) => {
          const { start } = await import("/src/index.ts" as string);
          const started = start(options);
          window.nearcast?.[method]();
          await started;
          const { length } = await navigator.serviceWorker.getRegistrations();
          return { stats: window.nearcast?.stats(), registered: length > 0 };
        },
        { options: { server, lan: true }, method: call },
      );
      expect(seen.stats).to.include({ role: "off", reason });
      expect(seen.registered).to.equal(call === "pause");
      expect(await viewer.close()).to.deep.equal([]);
    }
  });

  it("start() in a page outside the worker's scope says so and registers nothing", async () => {
    const viewer = await openViewer();
    const { reason, message, registrations } = await viewer.run(async () => {
      const { Nearcast } = await import("/src/nearcast.ts" as string);
      const { resolveConfig } = await import("/src/options.ts" as string);
      const pageUrl = location.href;
      const nearcast = new Nearcast(resolveConfig({ scope: "/elsewhere/" }, { pageUrl }), {});
      let text = "";
      nearcast.addEventListener("error", ({ detail }: CustomEvent<Error>) => {
        text = detail.message;
      });
      await nearcast.open();
      return {
        reason: nearcast.stats().reason,
        message: text,
        registrations: (await navigator.serviceWorker.getRegistrations()).length,
      };
    });
    expect(reason).to.equal("worker/unavailable");
    expect(message).to.match(/page "\/viewer\.html" is outside its scope ".*\/elsewhere\/"/);
    expect(registrations).to.equal(0);
    expect(await viewer.close()).to.deep.equal([]);
  });
});
