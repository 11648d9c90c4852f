/** Replays a recorded playlist as a live one: a window slides over its segments as time passes. */
import { readFileSync } from "node:fs";

const WINDOW = 5;

export class LivePlaylist {
  #segments;
  #durationS;
  #map;
  #startMs = Date.now();

  /** @param file A media playlist with segments of one duration. */
  constructor(file) {
    const lines = readFileSync(file, "utf8").split("\n");
    this.#map = lines.find((line) => line.startsWith("#EXT-X-MAP"));
    this.#segments = lines.filter((line) => line && !line.startsWith("#"));
    const [, target] = /#EXT-X-TARGETDURATION:(\d+)/.exec(lines.join("\n"));
    this.#durationS = Number(target);
  }

  /** The stream begins now, with a full window; all viewers share this epoch. */
  start() {
    this.#startMs = Date.now();
  }

  handle(res) {
    const passed = Math.floor((Date.now() - this.#startMs) / 1_000 / this.#durationS);
    const first = Math.min(passed, this.#segments.length - WINDOW);
    const body = [
      "#EXTM3U\n#EXT-X-VERSION:7",
      `#EXT-X-TARGETDURATION:${this.#durationS}`,
      `#EXT-X-MEDIA-SEQUENCE:${first}`,
      this.#map,
      ...this.#segments
        .slice(first, first + WINDOW)
        .map((name) => `#EXTINF:${this.#durationS.toFixed(3)},\n${name}`),
    ];
    res.setHeader("Content-Type", "application/vnd.apple.mpegurl");
    res.setHeader("Cache-Control", "no-store");
    res.end(`${body.join("\n")}\n`);
  }
}
