/** Finds what a folder of media offers: HLS playlists, MP4 files and pictures. */
import { readdir, readFile } from "node:fs/promises";
import { join, posix } from "node:path";

const DEPTH_MAX = 8;
const FILES_MAX = 20_000;
const PLAYLIST_MAX = 200;

/** The folder's files as relative URL paths, sorted, so that the first entry of a catalog is the same everywhere. */
async function listFiles(root) {
  const files = [];
  async function walk(folder, depth) {
    const entries = await readdir(join(root, folder), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.name.startsWith(".") || files.length >= FILES_MAX) continue;
      const path = posix.join(folder, entry.name);
      if (entry.isDirectory() && depth < DEPTH_MAX) await walk(path, depth + 1);
      else if (entry.isFile()) files.push(path);
    }
  }
  await walk("", 0);
  return files;
}

/** What a playlist refers to: lines that are no tags, and the URI attributes of tags. */
function references(path, text) {
  const uris = [...text.matchAll(/^(?!#)(\S+)\s*$|[:,]URI="([^"]+)"/gm)].map(
    ([, line, attribute]) => line ?? attribute,
  );
  return uris.map((uri) => posix.join(posix.dirname(path), decodeSafely(uri.split("?")[0])));
}

function decodeSafely(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    // A stray "%" in a file name is no escape.
    return text;
  }
}

/** "film/01-first-light.jpg" reads "First light"; names that say nothing are replaced by their folder's. */
function titleOf(path) {
  const parts = path.replace(/\.[^.]*$/, "").split("/");
  if (/^(index|master|playlist|manifest|main|prog_index)$/i.test(parts.at(-1)) && parts.length > 1)
    parts.pop();
  const name = parts.at(-1).length <= 3 ? parts.slice(-2).join(" ") : parts.at(-1);
  const words = name
    .replace(/^\d+[-_ ]+/, "")
    .replace(/[-_]+/g, " ")
    .trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/**
 * Walks a media folder.
 *
 * @param prefix The URL path at which the folder is served, with a slash at both ends.
 * @returns `hls`, `mp4` and `gallery`, each a list of `{ src, title }`. Playlists that another one refers to, and files
 *   that are parts of a stream, are left out.
 */
export async function readCatalog(root, prefix = "/media/") {
  const files = await listFiles(root);
  const playlists = files.filter((path) => /\.m3u8$/i.test(path)).slice(0, PLAYLIST_MAX);
  const parts = new Set();
  const masters = new Set();
  for (const path of playlists) {
    const text = await readFile(join(root, path), "utf8");
    if (text.includes("#EXT-X-STREAM-INF")) masters.add(path);
    for (const part of references(path, text)) parts.add(part);
  }
  const offer = (paths) =>
    paths
      .filter((path) => !parts.has(path))
      .map((path) => ({
        src: prefix + path.split("/").map(encodeURIComponent).join("/"),
        title: titleOf(path),
      }));
  return {
    hls: offer([...playlists].sort((a, b) => masters.has(b) - masters.has(a))),
    mp4: offer(files.filter((path) => /\.mp4$/i.test(path))),
    gallery: offer(files.filter((path) => /\.(jpe?g|png|webp|avif)$/i.test(path))),
  };
}
