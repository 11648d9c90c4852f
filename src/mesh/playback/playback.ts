/**
 * How urgent this page is: seconds buffered ahead of every media element, whatever player drives it.
 * Nothing of the page is patched; elements inside open shadow roots and frames of the same origin are found too.
 * @module
 */
import type { PlaybackState } from "../../engine/playback/deadline.js";

/** Two buffered ranges with a gap below this play through. */
const GAP_S = 0.3;
/** Reported when everything up to the end is buffered. */
const WHOLE_S = 3_600;
const EVENTS = [
  ...["playing", "pause", "seeking", "seeked", "waiting", "ratechange", "ended"],
  // The first bytes are in the buffer: what is asked for next is not as urgent.
  ...["loadeddata", "canplay", "canplaythrough"],
] as const;
const REPORT_MS = 250;
/** Walking the whole document is not free. */
const DISCOVER_MS = 2_000;

export interface PlaybackHandlers {
  /** The state changed, or time passed while something plays; `undefined`: no media element. */
  onState(state: PlaybackState | undefined): void;
  /** An element that had started ran dry. */
  onStall(): void;
}

/**
 * Watches until `signal` aborts.
 *
 * @returns The state right now, for whoever cannot wait for the next report.
 */
export function watchPlayback(
  handlers: PlaybackHandlers,
  signal: AbortSignal,
): () => PlaybackState | undefined {
  const watched = new Set<HTMLMediaElement>();
  const started = new WeakSet<HTMLMediaElement>();
  let lastReport = "none";
  const report = () => {
    for (const element of watched)
      if (!element.isConnected && element.paused) watched.delete(element);
    const state = combinedState([...watched], started);
    const text = JSON.stringify(state) ?? "none";
    if (text !== lastReport) handlers.onState(state);
    lastReport = text;
  };
  const watch = (element: HTMLMediaElement) => {
    if (watched.has(element)) return;
    watched.add(element);
    for (const name of EVENTS) element.addEventListener(name, report, { signal });
    element.addEventListener("playing", () => started.add(element), { signal });
    element.addEventListener(
      "waiting",
      () => {
        if (started.has(element) && !element.seeking && !element.ended) handlers.onStall();
      },
      { signal },
    );
  };
  const documents = new WeakSet<Document>();
  const discover = () => {
    for (const element of mediaElements(document, enter)) watch(element);
    report();
  };
  // A player announces itself the moment it gets a source, long before the next search.
  const enter = (place: Document) => {
    if (documents.has(place)) return;
    documents.add(place);
    for (const name of ["loadstart", "play"]) {
      place.addEventListener(name, discover, { signal, capture: true });
    }
  };
  const timers = [setInterval(report, REPORT_MS), setInterval(discover, DISCOVER_MS)];
  signal.addEventListener("abort", () => timers.forEach(clearInterval));
  document.addEventListener("visibilitychange", report, { signal });
  discover();
  return () => combinedState([...watched], started);
}

function combinedState(
  elements: readonly HTMLMediaElement[],
  started: WeakSet<HTMLMediaElement>,
): PlaybackState | undefined {
  const active = elements.filter(
    (element) => !element.ended && (element.src || element.currentSrc || element.srcObject),
  );
  if (active.length === 0) return undefined;
  const playing = active.filter((element) => !element.paused);
  const counted = playing.length > 0 ? playing : active;
  const starving = playing.some((element) => started.has(element) && isDry(element));
  const neediest = counted.reduce((a, b) => (aheadOf(b) < aheadOf(a) ? b : a));
  return {
    // Tenths are enough to plan with and keep the reports few.
    aheadS: Math.round(aheadOf(neediest) * 10) / 10,
    rate: neediest.playbackRate,
    paused: playing.length === 0,
    hidden: document.visibilityState === "hidden" && counted.every((element) => element.muted),
    ...(starving && { starving }),
    ...(counted.some((element) => element.ownerDocument !== document) && { framed: true }),
  };
}

/** It stands still for want of bytes, not because somebody seeks. */
function isDry({ seeking, readyState }: HTMLMediaElement): boolean {
  return !seeking && readyState < HTMLMediaElement.HAVE_FUTURE_DATA;
}

/**
 * Seconds that can be played from here without another byte. Only the buffer counts: a player asks for its second segment
 * before the first one's first picture is decoded, and that is not urgent.
 */
export function aheadOf(element: HTMLMediaElement): number {
  const { buffered, currentTime } = element;
  let end = currentTime;
  for (let index = 0; index < buffered.length; index++) {
    if (buffered.start(index) <= end + GAP_S && buffered.end(index) > end)
      end = buffered.end(index);
  }
  // All of it is here: nothing is needed any more, however little is left.
  if (end >= element.duration - GAP_S) return WHOLE_S;
  return end - currentTime;
}

/**
 * The media elements of a document, those in open shadow roots and in frames of the same origin included. What is in a
 * closed root, or in no document at all, cannot be seen: its requests count as downloads, and wait for nobody.
 *
 * @param enter Told of every document.
 */
function mediaElements(
  root: Document | ShadowRoot,
  enter: (place: Document) => void,
): HTMLMediaElement[] {
  if (root.nodeType === Node.DOCUMENT_NODE) enter(root as Document);
  const found: HTMLMediaElement[] = [...root.querySelectorAll<HTMLMediaElement>("video, audio")];
  for (const element of root.querySelectorAll("*")) {
    if (element.shadowRoot) found.push(...mediaElements(element.shadowRoot, enter));
    const inner = element.localName === "iframe" && frameOf(element as HTMLIFrameElement);
    if (inner) found.push(...mediaElements(inner, enter));
  }
  return found;
}

/** `null` for a frame of another origin; a sandbox may even throw. */
function frameOf(element: HTMLIFrameElement): Document | null {
  try {
    return element.contentDocument;
  } catch {
    return null;
  }
}
