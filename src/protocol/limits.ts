/**
 * Every number of the three wire formats, with its reason. PROTOCOL.md prints them; both ends import them.
 * @module
 */

/** Version of all three wire formats; a peer, page or server with another one is left alone. */
export const PROTOCOL_VERSION = 1;

/**
 * The unit that is hashed, requested, stored and announced. 64 KiB is where Web Crypto reaches its full
 * rate and where a model of a live cluster stops improving (docs/decisions/0002).
 */
export const PIECE_BYTES = 65_536;

/** Pieces one attestation covers: 4 MiB, so that big files are attested lazily. */
export const WINDOW_PIECES = 64;
export const WINDOW_BYTES = PIECE_BYTES * WINDOW_PIECES;

/** Largest asset: piece indices fit 24 bits, a bit map 2 MiB. */
export const ASSET_MAX_BYTES = PIECE_BYTES * 2 ** 24;

/**
 * Data bytes of one message of the bulk channel. A control message waits behind at most one of them
 * (26 ms at 5 Mbit/s); RFC 8831 section 6.6 advises 16 KiB for interoperability.
 */
export const BLOCK_BYTES = 16_384;

/** Bulk bytes that wait in one channel: more only adds queueing (measured, docs/decisions/0003). */
export const BULK_BUFFERED_MAX_BYTES = 262_144;

/** One message of the control channel; the largest is a HAVE of `HAVE_MAX_PIECES` pieces. */
export const CONTROL_MESSAGE_MAX_BYTES = 16_384;
export const HAVE_MAX_PIECES = 65_536;

/** Open requests one link keeps in each direction. */
export const LINK_REQUESTS_MAX = 128;

/** How often a claim is passed on: far enough for the cliques around, not a whole swarm's noise. */
export const CLAIM_HOPS_MAX = 4;

/** Assets whose holdings are kept for one peer; the oldest is forgotten first. */
export const HOLDINGS_PER_PEER_MAX = 4_096;

/** Answer to an open-ended range: a worker's stream lives about five minutes (w3c/ServiceWorker#1182). */
export const OPEN_RANGE_MAX_BYTES = WINDOW_BYTES;

/** The same while links and attestations are on their way: what follows can come from peers. */
export const OPEN_RANGE_JOINING_MAX_BYTES = 1_048_576;

/** One frame from a viewer to the server: a data channel's SDP is about 0.7 kB. */
export const SIGNAL_MESSAGE_MAX_BYTES = 16_384;

/** A URL in a message, in UTF-16 units. */
export const URL_MAX_LENGTH = 2_048;

/** A playlist that the worker shows the host. */
export const PLAYLIST_MAX_BYTES = 2 ** 20;

/** Groups one viewer is in at a time. */
export const GROUPS_MAX = 32;

/** A join token; one that names what its viewer may have is longer than one that does not. */
export const JOIN_TOKEN_MAX_LENGTH = 2_048;

/** Assets one viewer announces in one message, and in all. */
export const ANNOUNCE_MAX_ASSETS = 256;
export const ANNOUNCED_PER_PEER_MAX = 4_096;

/** Peers in one answer of the server. */
export const PEERS_PER_ANSWER_MAX = 8;

/** Viewers of one clique: it parts when a seventeenth comes. */
export const CLIQUE_MEMBERS_MAX = 16;

/** Bridges of one clique, each from another member: what one fetched reaches the others in few hops. */
export const CLIQUE_BRIDGES_MAX = 12;

/** RTCPeerConnections of one viewer, whoever began them: a browser gets slow beyond (rule R46). */
export const CONNECTIONS_MAX = 24;

/** Response headers that an attestation carries, together. */
export const HEADERS_MAX_BYTES = 4_096;

/** Bytes of an asset's identity on the wire, cut from a SHA-256. */
export const ASSET_ID_BYTES = 16;
