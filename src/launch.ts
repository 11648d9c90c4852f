/**
 * One instance per page: options are checked, it is made, shown as `window.nearcast`, and opened.
 * @module
 */
import type { LoadPlaylistReader } from "./mesh/playback/showing.js";
import { Nearcast } from "./nearcast.js";
import { type NearcastOptions, resolveConfig } from "./options.js";

let running: { readonly nearcast: Nearcast; readonly ready: Promise<void> } | undefined;

/**
 * Starts Nearcast in this page and hands out the instance at once; a second call returns the first call's.
 *
 * @param scriptUrl Where this code is, if it is alone there.
 * @throws {NearcastError} `config/invalid` for a bad option; nothing has been started then.
 */
export function launch(
  options: NearcastOptions,
  scriptUrl: string | undefined,
  loadPlaylistReader: LoadPlaylistReader,
): { readonly nearcast: Nearcast; readonly ready: Promise<void> } {
  if (running) return running;
  const nearcast = new Nearcast(resolveConfig(options, { pageUrl: location.href, scriptUrl }), {
    scriptUrl,
    loadPlaylistReader,
  });
  running = { nearcast, ready: nearcast.open() };
  window.nearcast = nearcast;
  return running;
}
