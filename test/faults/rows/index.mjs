/** All rows of the fault matrix, in its order. */
import { browserRows } from "./browser.mjs";
import { crossOriginRows } from "./cross-origin.mjs";
import { diskRows } from "./disk.mjs";
import { loadRows } from "./load.mjs";
import { originRows } from "./origin.mjs";
import { peerRows } from "./peers.mjs";
import { serverRows } from "./server.mjs";

export const rows = [
  ...[...peerRows, ...serverRows, ...originRows, ...browserRows],
  ...[...diskRows, ...loadRows, ...crossOriginRows],
].sort((a, b) => a.row - b.row);
