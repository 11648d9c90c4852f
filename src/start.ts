/**
 * The way in for sites that bundle.
 * @module
 */
import { launch } from "./launch.js";
import { readPlaylist } from "./mesh/playback/playlist-reader.js";
import type { Nearcast } from "./nearcast.js";
import type { NearcastOptions } from "./options.js";

/**
 * Starts Nearcast in this page; a second call returns the first call's instance.
 *
 * @returns When the worker controls the page, or it is clear that it will not: a missing feature, a
 * worker that cannot be registered or an unreachable server only switch the mesh off.
 * @throws {NearcastError} `config/invalid` for a bad option; nothing has been started then.
 */
export async function start(options: NearcastOptions = {}): Promise<Nearcast> {
  const { nearcast, ready } = launch(options, undefined, async () => readPlaylist);
  await ready;
  return nearcast;
}
