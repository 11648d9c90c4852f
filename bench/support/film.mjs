/**
 * The benchmarks' own media, made once into .cache/bench/media: a film of 2 Mbit/s that costs almost nothing to decode
 * (six software decoders of a real 720p film would make two cores the bottleneck and not the network), and plain files.
 *
 * The film is the demo's smallest rendition, repeated with its clock moved on, each segment filled up with a `free` box
 * that every player skips.
 */
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("../../demo/media/film/low/", import.meta.url));
const CACHE = fileURLToPath(new URL("../../.cache/bench/", import.meta.url));

export const SEGMENT_S = 4;
export const BITRATE = 2_000_000;
const REPEATS = 4;
const SIZES = {
  small: [256, 64 * 1024],
  warm: [8, 128 * 1024],
  mid: [16, 2 * 2 ** 20],
  large: [16, 8 * 2 ** 20],
  huge: [4, 16 * 2 ** 20],
};

/** @returns The folder that the sample origin serves. */
export function ensureMedia() {
  const folder = join(CACHE, "media");
  if (existsSync(join(folder, "film"))) return folder;
  const made = join(CACHE, `media-${process.pid}`);
  mkdirSync(join(made, "film"), { recursive: true });
  makeFilm(join(made, "film"));
  for (const [name, [count, bytes]] of Object.entries(SIZES)) {
    mkdirSync(join(made, name));
    for (let i = 0; i < count; i++)
      writeFileSync(join(made, name, `${i}.bin`), noise(`${name} ${i}`, bytes));
  }
  rmSync(folder, { recursive: true, force: true });
  renameSync(made, folder);
  return folder;
}

/** Bytes that no link can compress and every machine makes alike. */
function noise(seed, bytes) {
  return createHash("shake256", { outputLength: bytes }).update(seed).digest();
}

function makeFilm(target) {
  const playlist = readFileSync(join(SOURCE, "index.m3u8"), "utf8");
  const [, initName] = /#EXT-X-MAP:URI="([^"]+)"/.exec(playlist);
  const init = readFileSync(join(SOURCE, initName));
  writeFileSync(join(target, "init.mp4"), init);
  const names = readdirSync(SOURCE)
    .filter((name) => name.endsWith(".m4s"))
    .sort();
  const timescales = timescalesOf(init);
  const lines = [
    "#EXTM3U",
    "#EXT-X-VERSION:7",
    `#EXT-X-TARGETDURATION:${SEGMENT_S}`,
    "#EXT-X-MEDIA-SEQUENCE:0",
  ];
  lines.push("#EXT-X-PLAYLIST-TYPE:VOD", '#EXT-X-MAP:URI="init.mp4"');
  for (let i = 0; i < names.length * REPEATS; i++) {
    const segment = readFileSync(join(SOURCE, names[i % names.length]));
    moveClock(segment, timescales, Math.floor(i / names.length) * names.length * SEGMENT_S);
    const name = `segment-${String(i).padStart(3, "0")}.m4s`;
    // Between 0.7 and 1.3 of the mean, like a film's own segments.
    const bytes = Math.round((BITRATE / 8) * SEGMENT_S * (1 + 0.3 * Math.sin(i * 2.4)));
    const filler = noise(name, bytes - segment.length);
    filler.writeUInt32BE(filler.length, 0);
    filler.write("free", 4, "latin1");
    writeFileSync(join(target, name), Buffer.concat([segment, filler]));
    lines.push(`#EXTINF:${SEGMENT_S.toFixed(6)},`, name);
  }
  writeFileSync(join(target, "index.m3u8"), `${[...lines, "#EXT-X-ENDLIST"].join("\n")}\n`);
}

/** All boxes of a type, depth first; only the containers that lead to a clock are entered. */
function* boxes(bytes, type, from = 0, to = bytes.length) {
  for (let at = from; at + 8 <= to; ) {
    const size = bytes.readUInt32BE(at);
    const name = bytes.toString("latin1", at + 4, at + 8);
    if (size < 8) return;
    if (name === type) yield at;
    else if (["moov", "trak", "mdia", "moof", "traf"].includes(name)) {
      yield* boxes(bytes, type, at + 8, at + size);
    }
    at += size;
  }
}

/** Track id → ticks per second. */
function timescalesOf(init) {
  const wide = (at) => init[at + 8] === 1;
  const clocks = [...boxes(init, "mdhd")].map((at) => init.readUInt32BE(at + (wide(at) ? 28 : 20)));
  const ids = [...boxes(init, "tkhd")].map((at) => init.readUInt32BE(at + (wide(at) ? 28 : 20)));
  return new Map(ids.map((id, index) => [id, clocks[index]]));
}

/** Adds seconds to the decode time of every track fragment, in place. */
function moveClock(segment, timescales, seconds) {
  const tracks = [...boxes(segment, "tfhd")].map((at) => segment.readUInt32BE(at + 12));
  for (const [index, at] of [...boxes(segment, "tfdt")].entries()) {
    const ticks = seconds * timescales.get(tracks[index]);
    if (segment[at + 8] === 1)
      segment.writeBigUInt64BE(segment.readBigUInt64BE(at + 12) + BigInt(ticks), at + 12);
    else segment.writeUInt32BE(segment.readUInt32BE(at + 12) + ticks, at + 12);
  }
}
