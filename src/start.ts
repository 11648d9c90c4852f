/**
 * The way in: options are checked, one instance per page is made and shown as `window.nearcast`.
 * @module
 */
import { Nearcast } from "./nearcast.js";
import { type NearcastOptions, resolveConfig } from "./options.js";

declare global {
  interface Window {
    nearcast?: Nearcast;
  }
}

/**
 * Starts Nearcast in this page; a second call returns the first call's instance.
 *
 * @returns When the worker controls the page, or it is clear that it will not: a missing feature, a
 * worker that cannot be registered or an unreachable server only switch the mesh off.
 * @throws {NearcastError} `config/invalid` for a bad option; nothing has been started then.
 */
export async function start(options: NearcastOptions = {}): Promise<Nearcast> {
  const { nearcast, ready } = launch(options, undefined);
  await ready;
  return nearcast;
}

let running: { readonly nearcast: Nearcast; readonly ready: Promise<void> } | undefined;

/** As {@link start}, but hands out the instance at once. */
export function launch(
  options: NearcastOptions,
  scriptUrl: string | undefined,
): { readonly nearcast: Nearcast; readonly ready: Promise<void> } {
  if (running) return running;
  const nearcast = new Nearcast(
    resolveConfig(options, { pageUrl: location.href, scriptUrl }),
    scriptUrl,
  );
  running = { nearcast, ready: nearcast.open() };
  window.nearcast = nearcast;
  return running;
}
