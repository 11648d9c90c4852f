/**
 * The signaling and index server: PeerServer's wire protocol and Nearcast's index on one WebSocket.
 * @module
 */
export { type MintOptions, mintJoinToken } from "./admission/join-token.js";
export { resolveServerOptions, type ServerConfig, type ServerOptions } from "./options.js";
export { type NearcastServer, startServer } from "./server.js";
export type { SettingsOfSites, SiteSettings } from "./site-settings.js";
