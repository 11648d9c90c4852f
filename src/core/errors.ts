/**
 * The error that callers can tell apart by `code`. Messages are for people, codes are stable API.
 * @module
 */

/** Every code that Nearcast reports, as `area/condition`. */
export type ErrorCode =
  | "config/invalid"
  | "protocol/malformed"
  | "protocol/violation"
  | "protocol/version"
  | "peer/closed"
  | "peer/unreachable"
  | "peer/corrupt"
  | "index/closed"
  | "index/refused"
  | "index/token"
  | "integrity/mismatch"
  | "integrity/signature"
  | "integrity/version"
  | "origin/failed"
  | "origin/short"
  | "store/failed"
  | "worker/unavailable"
  | "mesh/unavailable";

/** An error with a stable `code`; `cause` keeps the original. */
export class NearcastError extends Error {
  override readonly name = "NearcastError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
