/**
 * Nearcast for a page: the whole public API.
 * @module
 */
import type { Nearcast } from "./nearcast.js";

declare global {
  interface Window {
    /** The instance of this page, once `start()` or the script made it. */
    nearcast?: Nearcast;
  }
}

export { type ErrorCode, NearcastError } from "./core/errors.js";
export type { UploadRule } from "./engine/uploads/manners.js";
export type { LinkInfo, NearcastEvents, RequestInfo } from "./events.js";
export type { JoinToken } from "./mesh/signaling/join-token.js";
export { Nearcast } from "./nearcast.js";
export type { Consent, NearcastOptions, Privacy } from "./options.js";
export type { NearcastStats, Role } from "./page-counts.js";
export { start } from "./start.js";
