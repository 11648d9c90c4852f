/**
 * Where a page gets the site's permission to join: from the page itself, or from a URL of the site that
 * answers with a fresh token for whoever is logged in there. Asked for once per socket.
 * @module
 */
import { NearcastError } from "../../core/errors.js";
import { JOIN_TOKEN_MAX_LENGTH } from "../../protocol/limits.js";

/** A token, or what makes a fresh one. */
export type JoinToken = string | (() => string | Promise<string>);

const ANSWER_TIMEOUT_MS = 10_000;

/** @returns What gives a token for each join, or `undefined` if the site gives none. */
export function joinTokenSource(
  joinToken: JoinToken | undefined,
  tokenUrl: string | undefined,
): (() => Promise<string>) | undefined {
  if (joinToken === undefined && tokenUrl === undefined) return undefined;
  return async () => {
    try {
      const token =
        typeof joinToken === "function"
          ? await joinToken()
          : (joinToken ?? (await fetchToken(tokenUrl ?? "")));
      if (typeof token === "string" && token !== "" && token.length <= JOIN_TOKEN_MAX_LENGTH) {
        return token;
      }
    } catch (cause) {
      throw new NearcastError("index/token", "Cannot join: the site gave no token", { cause });
    }
    throw new NearcastError("index/token", "Cannot join: the site gave no usable token");
  };
}

/** The URL is the site's own: its cookies say who asks. `no-store` keeps the worker away, too. */
async function fetchToken(url: string): Promise<string> {
  const response = await fetch(url, {
    credentials: "same-origin",
    cache: "no-store",
    redirect: "error",
    signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
  });
  if (!response.ok) throw new Error(`the site answered ${response.status}`);
  return (await response.text()).trim();
}
