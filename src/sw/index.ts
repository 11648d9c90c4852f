/**
 * Nearcast for a site that has its own service worker.
 * @module
 */
export { type AttachOptions, attach } from "./attach.js";
export { MeshFirst, type MeshFirstOptions } from "./mesh-first.js";
