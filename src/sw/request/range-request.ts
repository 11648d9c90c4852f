/**
 * The page's request, asked again for other bytes. The origin must see what it would have seen from the
 * page: same URL, credentials, referrer and headers.
 * @module
 */
import type { AskedRange } from "../../protocol/asset.js";

/** @param range Bytes to ask for, closed; `undefined` for the request as it is. */
export function requestFor(
  request: Request,
  range: AskedRange | undefined,
  signal: AbortSignal,
): Request {
  const { referrer, referrerPolicy } = request;
  if (range?.end === undefined) return new Request(request, { signal, referrer, referrerPolicy });
  const headers = new Headers(request.headers);
  headers.set("range", `bytes=${range.start}-${range.end - 1}`);
  return new Request(request.url, {
    headers,
    // A no-cors request would lose its Range header when copied; the URL is the site's own then.
    mode: request.mode === "no-cors" ? "cors" : request.mode,
    credentials: request.credentials,
    cache: request.cache,
    redirect: "follow",
    referrer,
    referrerPolicy,
    signal,
  });
}
