/**
 * Where keys leave tokens out of URLs (`stripParams`), having pieces says nothing of who may see them. So the
 * origin is asked each time, with the page's own URL and credentials, before peers' or stored bytes are shown
 * (rule R34, threat C7).
 * @module
 */
import type { Header } from "../../protocol/attestation.js";
import { parseContentRange } from "../request/byte-range.js";
import { requestFor } from "../request/range-request.js";

/** What would be shown. */
interface Shown {
  readonly headers: readonly Header[];
  readonly length: number;
}

/** The origin's word on one request; asked at most once, and only when there is something to show. */
export class Authorisation {
  readonly #request: Request;
  readonly #required: boolean;
  #answer: Promise<boolean> | undefined;
  /** The origin was asked and said no. */
  denied = false;

  constructor(request: Request, required: boolean) {
    this.#request = request;
    this.#required = required;
  }

  /** Never rejects: an origin that does not answer grants nothing. */
  async grants(attested: Shown): Promise<boolean> {
    if (!this.#required) return true;
    this.#answer ??= this.#ask(attested).catch(() => false);
    const granted = await this.#answer;
    this.denied = !granted;
    return granted;
  }

  async #ask(attested: Shown): Promise<boolean> {
    const { signal } = this.#request;
    const first = requestFor(this.#request, { start: 0, end: 1 }, signal);
    const response = await fetch(new Request(first, { cache: "no-store" }));
    void response.body?.cancel().catch(() => undefined);
    const { status, redirected, headers } = response;
    const type = attested.headers.find(([name]) => name === "content-type")?.[1] ?? null;
    // Some origins refuse with a page, however large, or by sending elsewhere: that is not what would be shown.
    return (
      (status === 200 || status === 206) &&
      !redirected &&
      headers.get("content-type") === type &&
      (wholeLength(response) ?? attested.length) === attested.length
    );
  }
}

/** Length of the whole body, as far as the origin says and lets it be seen. */
function wholeLength({ status, headers }: Response): number | undefined {
  if (status === 206) return parseContentRange(headers.get("content-range"))?.length;
  const length = headers.has("content-encoding") ? null : headers.get("content-length");
  return length === null ? undefined : Number(length);
}
