/**
 * What the tabs of one profile tell each other, over one BroadcastChannel: playback to the host, groups
 * to whoever may be host next, the viewer's switches to all.
 * @module
 */
import type { PlaybackState } from "../../engine/playback/deadline.js";
import { PROTOCOL_VERSION } from "../../protocol/limits.js";
import type { RemoteConfig } from "../../protocol/signal-messages.js";
import { type Envelope, isEnvelope } from "../../protocol/worker-messages.js";

export type TabMessage =
  | {
      readonly type: "playback";
      readonly clientId: string;
      readonly state: PlaybackState | undefined;
    }
  | { readonly type: "closing"; readonly clientId: string }
  | { readonly type: "groups"; readonly groups: readonly string[] }
  | {
      readonly type: "delivered";
      readonly cache: number;
      readonly mesh: number;
      readonly origin: number;
    }
  | { readonly type: "switch"; readonly enabled: boolean }
  | { readonly type: "remote"; readonly config: RemoteConfig }
  | { readonly type: "admission"; readonly refused: string | undefined };

/** Opens the channel; messages of other versions are ignored. Closed when `signal` aborts. */
export function openTabs(
  onMessage: (message: TabMessage) => void,
  signal: AbortSignal,
): (message: TabMessage) => void {
  const channel = new BroadcastChannel("nearcast");
  channel.onmessage = ({ data }) => {
    if (isEnvelope(data)) onMessage(data as Envelope & TabMessage);
  };
  signal.addEventListener("abort", () => channel.close(), { once: true });
  return (message) => {
    if (!signal.aborted) channel.postMessage({ nearcast: PROTOCOL_VERSION, ...message });
  };
}
