/**
 * Playlists always come from the origin, byte by byte as it sends them; the host gets a copy of the text, so
 * that it knows what comes next. Whatever goes wrong with the copy, the page never notices.
 * @module
 */
import { PLAYLIST_MAX_BYTES, PROTOCOL_VERSION } from "../../protocol/limits.js";
import type { PlaylistReport } from "../../protocol/worker-messages.js";
import { findHost } from "../pages/host-tab.js";

/** Shows the host a copy of the answer; call before anybody reads it. Never throws. */
export async function reportPlaylist(response: Response): Promise<void> {
  if (!response.ok || response.type === "opaque" || !response.body) return;
  try {
    const text = await boundedText(response.clone());
    const host = text === undefined ? undefined : await findHost();
    if (!host || text === undefined) return;
    const { url } = response;
    const report: PlaylistReport = { nearcast: PROTOCOL_VERSION, type: "playlist", url, text };
    host.client.postMessage(report);
  } catch {
    // The origin broke off, or the page left: there is nothing to learn.
  }
}

/** @returns `undefined` if there is more than anybody would call a playlist. */
async function boundedText(response: Response): Promise<string | undefined> {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for (let next = await reader?.read(); next && !next.done; next = await reader?.read()) {
    bytes += next.value.byteLength;
    if (bytes > PLAYLIST_MAX_BYTES) {
      await reader?.cancel();
      return undefined;
    }
    text += decoder.decode(next.value, { stream: true });
  }
  return text + decoder.decode();
}
