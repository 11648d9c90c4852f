/**
 * Reads HLS and DASH playlists with the parsers of Video.js. Playlists come from the origin and are used as
 * hints only: what they name is asked for and verified like anything else.
 * @module
 */
import { Parser } from "m3u8-parser";
import { parse } from "mpd-parser";
import { type Playlist, type Rendition, SEGMENTS_MAX } from "../../engine/playback/lookahead.js";
import { canonicalUrl } from "../../protocol/asset.js";

/** Of what the parsers return, that which is used here. */
interface ParsedSegment {
  readonly uri?: string;
  readonly resolvedUri?: string;
  readonly duration?: number;
  readonly byterange?: unknown;
  readonly parts?: readonly { readonly uri?: string }[];
  readonly preloadHints?: readonly { readonly uri?: string }[];
}

interface ParsedPlaylist {
  readonly uri?: string;
  readonly attributes?: { readonly BANDWIDTH?: number; readonly NAME?: string };
  readonly segments?: readonly ParsedSegment[];
  readonly preloadSegment?: ParsedSegment;
}

interface ParsedManifest extends ParsedPlaylist {
  readonly playlists?: readonly ParsedPlaylist[];
  readonly mediaGroups?: Record<string, Record<string, Record<string, ParsedGroup>>>;
}

interface ParsedGroup {
  readonly uri?: string;
  readonly playlists?: readonly ParsedPlaylist[];
}

/**
 * @param url Where the playlist came from: relative URLs in it start there.
 * @param stripParams Query parameters that keys leave out.
 * @returns `undefined` if the text is no playlist that the parsers understand.
 */
export function readPlaylist(
  url: string,
  text: string,
  stripParams: readonly string[] = [],
): Playlist | undefined {
  const keyOf = (uri: string) => canonicalUrl(new URL(uri, url).href, stripParams);
  try {
    return /^\uFEFF?#EXTM3U/.test(text) ? readHls(url, text, keyOf) : readDash(url, text, keyOf);
  } catch {
    return undefined; // whatever it is, the player has its own copy
  }
}

function readHls(url: string, text: string, resolve: (uri: string) => string): Playlist {
  const parser = new Parser();
  parser.push(text);
  parser.end();
  const {
    playlists = [],
    mediaGroups,
    segments = [],
    preloadSegment,
  }: ParsedManifest = parser.manifest;
  if (playlists.length > 0) {
    const variants = playlists.flatMap(({ uri, attributes }) =>
      uri === undefined ? [] : [{ url: resolve(uri), bandwidth: attributes?.BANDWIDTH ?? 0 }],
    );
    const sounds = groupsOf(mediaGroups).flatMap(({ uri }) =>
      uri === undefined ? [] : [{ url: resolve(uri), bandwidth: 0 }],
    );
    return { url, children: [...variants, ...sounds], renditions: [] };
  }
  const rendition = renditionOf(resolve(url), segments, { bandwidth: 0, choice: 0, resolve });
  const parts = [...segments, ...(preloadSegment ? [preloadSegment] : [])].flatMap((segment) =>
    [...(segment.parts ?? []), ...(segment.preloadHints ?? [])].flatMap(({ uri }) =>
      uri === undefined ? [] : [resolve(uri)],
    ),
  );
  return { url, children: [], renditions: [{ ...rendition, parts }] };
}

function readDash(url: string, text: string, resolve: (uri: string) => string): Playlist {
  const manifest: ParsedManifest = parse(text, { manifestUri: url });
  const video = manifest.playlists ?? [];
  const sound = groupsOf(manifest.mediaGroups).flatMap(({ playlists = [] }) => playlists);
  const renditions = [...video, ...sound].map((playlist, index) =>
    renditionOf(`${resolve(url)}#${index}`, playlist.segments ?? [], {
      bandwidth: playlist.attributes?.BANDWIDTH ?? 0,
      choice: index < video.length ? video.length : sound.length,
      resolve,
    }),
  );
  return { url, children: [], renditions };
}

function renditionOf(
  id: string,
  all: readonly ParsedSegment[],
  options: { bandwidth: number; choice: number; resolve: (uri: string) => string },
): Rendition {
  const { resolve, ...rest } = options;
  const segments = all.slice(-SEGMENTS_MAX).flatMap(({ uri, resolvedUri, duration, byterange }) => {
    const target = resolvedUri ?? uri;
    // Several segments in one file: its URL says nothing of one of them.
    if (!target || byterange || !duration) return [];
    return [{ url: resolve(target), durationS: duration }];
  });
  return { id, ...rest, segments, parts: [] };
}

function groupsOf(groups: ParsedManifest["mediaGroups"]): ParsedGroup[] {
  return Object.values(groups ?? {}).flatMap((type) =>
    Object.values(type).flatMap((group) => Object.values(group)),
  );
}
