/**
 * What a page can hear from Nearcast, and an event target that knows the types.
 * @module
 */
import type { NearcastStats } from "./page-counts.js";
import type { RequestReport } from "./protocol/worker-messages.js";

/** One open link. */
export interface LinkInfo {
  readonly peerId: string;
  /** 0 same public address, 1 same network prefix, 2 the rest. */
  readonly distance: 0 | 1 | 2;
  readonly rttMs: number | undefined;
  readonly bytesReceived: number;
  readonly bytesSent: number;
}

/** One request that the worker answered. `status` 0: the network failed, or the page gave it up. */
export type RequestInfo = Pick<RequestReport, "url" | "status" | "durationMs" | "bytes">;

/** By name. */
export interface NearcastEvents {
  /** At most once a second, and when the role changes. */
  readonly stats: CustomEvent<NearcastStats>;
  readonly link: CustomEvent<LinkInfo & { readonly state: "open" | "closed" }>;
  readonly request: CustomEvent<RequestInfo>;
  /** What failed inside; never something that a request waits for. */
  readonly error: CustomEvent<unknown>;
  /** The viewer's answer. */
  readonly consent: CustomEvent<boolean>;
}

/** An `EventTarget` whose listeners get what {@link NearcastEvents} says. */
export interface NearcastTarget extends EventTarget {
  addEventListener<Name extends keyof NearcastEvents>(
    type: Name,
    listener: (event: NearcastEvents[Name]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<Name extends keyof NearcastEvents>(
    type: Name,
    listener: (event: NearcastEvents[Name]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}

export const NearcastTarget = EventTarget as { new (): NearcastTarget };
