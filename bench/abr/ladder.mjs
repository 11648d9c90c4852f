/**
 * The ladder of `bench -- abr`, made once with ffmpeg into .cache: one film of a minute in four renditions that one set of
 * segments serves as HLS and as DASH. The pictures are small, so that two browsers decode them beside each other; the
 * encoder fills every segment up to its bitrate.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../../.cache/bench/abr/", import.meta.url));
const FILM = fileURLToPath(new URL("../../demo/media/film/film.mp4", import.meta.url));
const SHARED_FILM = fileURLToPath(
  new URL("../../../shared/media/bbb/bbb-720p-60s.mp4", import.meta.url),
);

export const SEGMENT_S = 4;
export const DURATION_S = 60;
/** Bit/s, lowest first; a line of 3 Mbit/s carries the third, for every player's own safety margin. */
export const RUNGS = [400_000, 900_000, 1_700_000, 3_600_000];
const HEIGHTS = [144, 180, 216, 252];

/** Why the ladder cannot be made here; `undefined` if it can. */
export function ladderMissing() {
  if (existsSync(join(FOLDER, "film"))) return undefined;
  const found = spawnSync("ffmpeg", ["-hide_banner", "-encoders"], { encoding: "utf8" });
  return found.stdout?.includes("libx264") ? undefined : "it needs ffmpeg with libx264";
}

/** @returns The folder that the sample origin serves; the film is in `film/`. */
export function ensureLadder() {
  if (existsSync(join(FOLDER, "film"))) return FOLDER;
  const made = join(FOLDER, `film-${process.pid}`);
  mkdirSync(made, { recursive: true });
  const source = existsSync(SHARED_FILM) ? SHARED_FILM : FILM;
  const splits = HEIGHTS.map((_, i) => `[s${i}]`).join("");
  const scales = HEIGHTS.map((height, i) => `[s${i}]scale=-2:${height}[v${i}]`).join(";");
  const args = [
    ...["-v", "error", "-stream_loop", "-1", "-i", source, "-an", "-t", String(DURATION_S)],
    ...["-filter_complex", `[0:v]fps=24,split=${HEIGHTS.length}${splits};${scales}`],
    ...HEIGHTS.flatMap((_, i) => ["-map", `[v${i}]`]),
    ...["-c:v", "libx264", "-preset", "ultrafast", "-x264-params", "nal-hrd=cbr:scenecut=0"],
    ...["-g", String(24 * SEGMENT_S), "-keyint_min", String(24 * SEGMENT_S)],
    ...RUNGS.flatMap((rate, i) =>
      ["b:v", "minrate:v", "maxrate:v", "bufsize:v"].flatMap((name) => [`-${name}:${i}`, rate]),
    ),
    ...["-f", "dash", "-seg_duration", SEGMENT_S, "-use_template", 1, "-use_timeline", 0],
    ...["-hls_playlist", 1, "-adaptation_sets", "id=0,streams=v", join(made, "manifest.mpd")],
  ].map(String);
  const { status, stderr } = spawnSync("ffmpeg", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`Cannot make the ladder: ${stderr}`);
  writeFileSync(join(made, "small.bin"), Buffer.alloc(1_000));
  renameSync(made, join(FOLDER, "film"));
  rmSync(made, { recursive: true, force: true });
  return FOLDER;
}

/** Paths of the segments of some rungs, in playing order. */
export function segmentPaths(rungs) {
  const count = DURATION_S / SEGMENT_S;
  const name = (rung, number) =>
    `/media/film/chunk-stream${rung}-${String(number).padStart(5, "0")}.m4s`;
  return rungs.flatMap((rung) => [
    `/media/film/init-stream${rung}.m4s`,
    ...Array.from({ length: count }, (_, i) => name(rung, i + 1)),
  ]);
}
