/**
 * Subresource Integrity, where a request names it: the highest source of trust. The body is held back until
 * all of it is here and matches, so no byte that the page did not ask for reaches it, whoever sent it. The
 * browser checks again what we answer; this check decides whether we do.
 *
 * Source: W3C Subresource Integrity section 3.3.
 * @module
 */
import { equalBytes } from "../../core/digest.js";
import { NearcastError } from "../../core/errors.js";

/** A longer body would be held back for too long: the origin's own stream answers. */
export const WHOLE_MAX_BYTES = 4 * 2 ** 20;

const STRENGTH = ["sha256", "sha384", "sha512"];

/**
 * The same response, its body checked against `integrity` first; as it is if that is empty.
 *
 * @throws {NearcastError} `integrity/mismatch` if it does not match, or names no digest that we know.
 */
export async function wholeIf(integrity: string, response: Response): Promise<Response> {
  if (integrity === "") return response;
  const { status, statusText, headers } = response;
  const body = new Uint8Array(await response.arrayBuffer());
  if (await matchesIntegrity(integrity, body)) {
    return new Response(body, { status, statusText, headers });
  }
  throw new NearcastError("integrity/mismatch", "Cannot use mesh: the body lacks its integrity");
}

/** Whether any digest of the strongest kind named is that of `bytes`. */
export async function matchesIntegrity(
  integrity: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  const named = [...integrity.matchAll(/(?<!\S)(sha256|sha384|sha512)-([A-Za-z0-9+/_-]+)=*/g)];
  const strength = Math.max(...named.map(([, kind = ""]) => STRENGTH.indexOf(kind)));
  const strongest = STRENGTH[strength];
  if (strongest === undefined) return false;
  const algorithm = strongest.replace("sha", "SHA-");
  const digest = new Uint8Array(await crypto.subtle.digest(algorithm, bytes));
  return named.some(([, kind, text = ""]) => {
    const binary = kind === strongest ? atob(text.replace(/-/g, "+").replace(/_/g, "/")) : "";
    return equalBytes(
      Uint8Array.from(binary, (char) => char.charCodeAt(0)),
      digest,
    );
  });
}
