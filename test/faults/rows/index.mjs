/** All rows of the fault matrix, in its order. */
import { peerRows } from "./peers.mjs";

export const rows = [...peerRows].sort((a, b) => a.row - b.row);
