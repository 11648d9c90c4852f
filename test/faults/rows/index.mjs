/** All rows of the fault matrix, in its order. */
import { browserRows } from "./browser.mjs";
import { peerRows } from "./peers.mjs";
import { serverRows } from "./server.mjs";

export const rows = [...peerRows, ...serverRows, ...browserRows].sort((a, b) => a.row - b.row);
