/**
 * The live picture: this viewer in the middle, neighbours to both sides, the origin above and the own cache below.
 *
 * Dots travel along a line in proportion to the bytes that moved; a line's width follows its rate. Whoever asked for
 * less motion gets the widths only.
 */
import { countOf, formatBytes } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const CENTER = { x: 210, y: 170 };
const ORIGIN = { x: 210, y: 50 };
const CACHE = { x: 210, y: 290 };
const DOT_BYTES = 24_000;
const DOTS_MAX = 8;
const DOT_MS = 900;
/** More links than a browser profile has; the picture stays readable up to here. */
const PEERS_MAX = 24;
/** Beyond this the captions would cover each other; the nodes' tooltips still tell them apart. */
const CAPTIONS_MAX = 6;
const DISTANCES = ["next door", "near", "far"];

function shape(name, attributes, parent) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return parent.appendChild(element);
}

/** One line with its traffic. `received` moves towards this viewer, `sent` away. */
class Flow {
  #line;
  #place;
  #dots;
  #rate = 0;
  #queued = { received: 0, sent: 0 };
  #last;

  constructor({ place, className, layers }) {
    this.#place = place;
    this.#dots = layers.dots;
    this.className = className;
    this.#line = shape("line", { class: `flow ${className}` }, layers.lines);
    this.moveTo(place);
  }

  moveTo(place) {
    this.#place = place;
    for (const [key, value] of Object.entries({
      x1: place.x,
      y1: place.y,
      x2: CENTER.x,
      y2: CENTER.y,
    })) {
      this.#line.setAttribute(key, value);
    }
  }

  /** Takes running totals; the first ones only set the zero, because the picture shows what moves now. */
  update(received, sent = 0) {
    const last = this.#last ?? { received, sent };
    this.#last = { received, sent };
    const came = Math.max(0, received - last.received);
    const went = Math.max(0, sent - last.sent);
    this.#queued.received = Math.min(DOTS_MAX * DOT_BYTES, this.#queued.received + came);
    this.#queued.sent = Math.min(DOTS_MAX * DOT_BYTES, this.#queued.sent + went);
    this.#rate = this.#rate * 0.6 + (came + went) * 0.4;
    this.#line.style.strokeWidth = 1.5 + Math.min(5, Math.sqrt(this.#rate) / 90);
    this.#line.classList.toggle("busy", this.#rate > 1000);
  }

  /** Lets one dot go in each direction that has bytes queued. */
  release() {
    for (const way of ["received", "sent"]) {
      if (this.#queued[way] <= 0) continue;
      this.#queued[way] -= DOT_BYTES;
      const [from, to] = way === "received" ? [this.#place, CENTER] : [CENTER, this.#place];
      const dot = shape(
        "circle",
        { r: 4, class: `dot ${way === "sent" ? "given" : this.className}` },
        this.#dots,
      );
      const at = ({ x, y }) => ({ transform: `translate(${x}px, ${y}px)` });
      dot.animate([at(from), at(to)], { duration: DOT_MS, easing: "ease-in-out" }).finished.then(
        () => dot.remove(),
        // A picture that was removed in the middle of the movement.
        () => dot.remove(),
      );
    }
  }

  remove() {
    this.#line.remove();
  }
}

export class MeshPicture {
  #layers;
  #peers = new Map();
  #fixed;
  #text = document.querySelector("#mesh-text");
  #calm = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(svg = document.querySelector("#mesh")) {
    const group = (name) => shape("g", { class: name }, svg);
    this.#layers = { lines: group("lines"), dots: group("dots"), nodes: group("nodes") };
    const flow = (className, place) => new Flow({ place, className, layers: this.#layers });
    this.#fixed = { origin: flow("origin", ORIGIN), cache: flow("cache", CACHE) };
    this.#node(ORIGIN, {
      className: "origin",
      radius: 22,
      icon: "M-9-6h18v5H-9zM-9 2h18v5H-9zM-5.5-3.5h.1M-5.5 4.5h.1",
    });
    this.#node(CACHE, {
      className: "cache",
      radius: 22,
      icon: "M-8-5c0-4 16-4 16 0s-16 4-16 0v10c0 4 16 4 16 0V-5M-8 0c0 4 16 4 16 0",
    });
    this.#node(CENTER, { className: "you", radius: 32 }, ["You"]);
    this.#caption({ ...ORIGIN, y: ORIGIN.y - 6 }, ["Origin"]);
    this.#caption({ ...CACHE, y: CACHE.y + 6 }, ["Own cache"]);
    setInterval(() => this.#releaseDots(), 130);
  }

  /**
   * @param stats `nearcast.stats()`.
   * @param links `nearcast.links()`.
   */
  update(stats, links) {
    const shown = links.slice(0, PEERS_MAX);
    this.#fixed.origin.update(stats.bytes.origin);
    this.#fixed.cache.update(stats.bytes.cache);
    const ids = new Set(shown.map(({ peerId }) => peerId));
    for (const [peerId, peer] of this.#peers) {
      if (ids.has(peerId)) continue;
      peer.flow.remove();
      peer.node.remove();
      this.#peers.delete(peerId);
    }
    for (const link of shown) if (!this.#peers.has(link.peerId)) this.#addPeer(link);
    for (const [at, link] of shown.entries())
      this.#showPeer(link, placeOf(at, shown.length), shown.length);
    this.#text.textContent = describe(stats, links);
  }

  #addPeer({ peerId }) {
    const flow = new Flow({ place: CENTER, className: "mesh", layers: this.#layers });
    this.#peers.set(peerId, { flow, node: undefined });
  }

  #showPeer(link, place, count) {
    const peer = this.#peers.get(link.peerId);
    peer.flow.moveTo(place);
    peer.flow.update(link.bytesReceived, link.bytesSent);
    const crowded = count > CAPTIONS_MAX;
    const key = [
      place.x,
      place.y,
      link.distance,
      Math.round(link.rttMs ?? 0),
      formatBytes(link.bytesReceived),
    ].join();
    // Rebuilt only when something visible changed, so that an idle picture costs nothing.
    if (peer.key === key) return;
    peer.key = key;
    peer.node?.remove();
    peer.node = this.#node(
      place,
      { className: "peer", radius: crowded ? 11 : 17, title: link.peerId },
      [crowded ? "" : link.peerId.slice(0, 2).toUpperCase()],
    );
    if (crowded) return;
    const words = [
      DISTANCES[link.distance],
      link.rttMs === undefined ? "" : `${Math.round(link.rttMs)} ms`,
    ];
    this.#caption(
      place,
      [words.filter(Boolean).join(" · "), formatBytes(link.bytesReceived)],
      peer.node,
    );
  }

  #node({ x, y }, { className, radius, icon, title }, lines = []) {
    const node = shape("g", { class: `node ${className}` }, this.#layers.nodes);
    shape("circle", { cx: x, cy: y, r: radius }, node);
    if (icon) shape("path", { d: icon, transform: `translate(${x} ${y})` }, node);
    if (title) shape("title", {}, node).textContent = title;
    for (const line of lines)
      shape("text", { x, y: y + 5, class: "inside" }, node).textContent = line;
    return node;
  }

  /** Words above or below a node, on the side where no line runs. */
  #caption({ x, y }, lines, parent = this.#layers.nodes) {
    const first = y < CENTER.y ? y - 24 - 14 * (lines.length - 1) : y + 33;
    for (const [at, line] of lines.entries()) {
      shape("text", { x, y: first + at * 14, "text-anchor": "middle" }, parent).textContent = line;
    }
  }

  #releaseDots() {
    // A hidden page would only pile up dots for the moment of its return.
    if (document.hidden || this.#calm.matches) return;
    for (const flow of Object.values(this.#fixed)) flow.release();
    for (const { flow } of this.#peers.values()) flow.release();
  }
}

/** Neighbours stand on two arcs, right and left in turn, and leave top and bottom to origin and cache. */
function placeOf(at, count) {
  const right = at % 2 === 0;
  const onSide = right ? Math.ceil(count / 2) : Math.floor(count / 2);
  const index = Math.floor(at / 2);
  const spread = Math.min(1.9, 0.75 * (onSide - 1));
  const angle = onSide === 1 ? 0 : -spread / 2 + (spread * index) / (onSide - 1);
  const x = CENTER.x + (right ? 1 : -1) * 146 * Math.cos(angle * 0.62);
  return { x: Math.round(x), y: Math.round(CENTER.y + 124 * Math.sin(angle)) };
}

function describe({ role, index }, links) {
  if (role === "off") return "Nearcast is off: everything comes from the origin, as without it.";
  if (links.length === 0) {
    return index === "open"
      ? "No neighbours yet. Open a second window."
      : "Looks for neighbours once something is loaded.";
  }
  const received = links.reduce((sum, link) => sum + link.bytesReceived, 0);
  const sent = links.reduce((sum, link) => sum + link.bytesSent, 0);
  return `Linked with ${countOf(links.length, "neighbour")}: ${formatBytes(received)} received, ${formatBytes(sent)} given.`;
}
