/**
 * The signaling and index server: PeerServer's wire protocol and Nearcast's index on one WebSocket.
 * @module
 */
export { resolveServerOptions, type ServerConfig, type ServerOptions } from "./options.js";
export { type NearcastServer, startServer } from "./server.js";
