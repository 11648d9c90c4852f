/** The part of the oracle that the differential test of the sharing policy asks. */
declare module "http-cache-semantics" {
  export default class CachePolicy {
    constructor(
      request: { url?: string; method?: string; headers: Record<string, string> },
      response: { status: number; headers: Record<string, string> },
      options?: { shared?: boolean; cacheHeuristic?: number },
    );
    /** Whether a shared cache may store the response at all. */
    storable(): boolean;
    /** Freshness left, in milliseconds. */
    timeToLive(): number;
    /** Whether the stored response may answer this request without asking the origin. */
    satisfiesWithoutRevalidation(request: {
      url?: string;
      method?: string;
      headers: Record<string, string>;
    }): boolean;
  }
}
