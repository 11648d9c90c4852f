/**
 * `dist/nearcast-playlists.js`: what the classic script loads when the first playlist passes by. Without it nothing
 * is looked ahead, and everything else works.
 * @module
 */
export { readPlaylist } from "./mesh/playback/playlist-reader.js";
