/**
 * The classic script: reads the options from its own tag and starts. It announces itself by the event
 * `nearcast:ready` on `window` as soon as the worker controls the page (or it is clear that it will not).
 * @module
 */
import { launch } from "./launch.js";
import type { PlaylistsModule } from "./mesh/playback/showing.js";
import { optionsFromData } from "./options.js";

const tag = document.currentScript;

try {
  const data = tag instanceof HTMLScriptElement ? { ...tag.dataset } : {};
  const scriptUrl = tag instanceof HTMLScriptElement ? tag.src : undefined;
  const { nearcast, ready } = launch(optionsFromData(data), scriptUrl, async () => {
    // A third of this script's size, of use only where playlists are: it lies beside it.
    const url = new URL("nearcast-playlists.js", scriptUrl ?? location.href).href;
    const module: PlaylistsModule = await import(url);
    return module.readPlaylist;
  });
  void ready.then(() =>
    window.dispatchEvent(new CustomEvent("nearcast:ready", { detail: nearcast })),
  );
} catch (error) {
  // A wrong attribute must be seen by the integrator and must not break the page.
  reportError(error);
  window.dispatchEvent(new CustomEvent("nearcast:ready"));
}
