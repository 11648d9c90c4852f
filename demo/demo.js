/** The demo page: puts the parts together. It uses Nearcast as any site would, through the script tag and `window.nearcast`. */
import { connect, describeState, isPaused } from "./parts/connect.js";
import { MeshPicture } from "./parts/mesh-picture.js";
import { Player } from "./parts/player.js";
import { RequestLog } from "./parts/request-log.js";
import { History, Totals } from "./parts/traffic.js";

const VIEWS = ["hls", "mp4", "gallery"];
const PICTURE_MS = 400;
const HISTORY_MS = 1000;

const parameters = new URLSearchParams(location.search);
const byTestId = (name) => document.querySelector(`[data-testid="${name}"]`);
const player = new Player({ loop: parameters.get("loop") === "1" });
const tabs = [...document.querySelectorAll('[role="tab"]')];

/** For tests and the curious. `catalog` is filled once `ready` has resolved. */
window.demo = {
  catalog: { hls: [], mp4: [], gallery: [] },
  ready: undefined,
  play: (kind, src) => show(kind, src),
  get hls() {
    return player.hls;
  },
  get video() {
    return player.video;
  },
};

/** Switches to a view, marks its tab and keeps the address bar true, so that a second window opens the same. */
async function show(kind, src) {
  if (!VIEWS.includes(kind))
    throw new TypeError(
      `Cannot play as kind must be hls, mp4 or gallery: current value is "${kind}"`,
    );
  for (const tab of tabs) {
    const chosen = tab.dataset.view === kind;
    tab.ariaSelected = String(chosen);
    tab.tabIndex = chosen ? 0 : -1;
  }
  document.querySelector("#panel-film").setAttribute("aria-labelledby", `tab-${kind}`);
  const offers = window.demo.catalog[kind];
  offerSources(kind, offers, src);
  parameters.set("view", kind);
  src ? parameters.set("src", src) : parameters.delete("src");
  // Slashes may stay as they are in a query, and an address that people share should be readable.
  history.replaceState(null, "", `?${parameters}`.replaceAll("%2F", "/"));
  await player.play(kind, { offers, src });
}

/** The list of films, which appears only where there is a choice. */
function offerSources(kind, offers, src) {
  const select = byTestId("source");
  select.closest("label").hidden = kind === "gallery" || offers.length < 2;
  select.replaceChildren(
    ...offers.map((offer) => new Option(offer.title, offer.src, false, offer.src === src)),
  );
  select.onchange = () => show(kind, select.value);
}

function wireTabs() {
  for (const tab of tabs) tab.addEventListener("click", () => show(tab.dataset.view));
  document.querySelector('[role="tablist"]').addEventListener("keydown", ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    const next = tabs.at((tabs.indexOf(document.activeElement) + step) % tabs.length);
    next.focus();
    next.click();
  });
}

function wireButtons(nearcast) {
  byTestId("second-window").addEventListener("click", () => {
    window.open(location.href, "_blank", "popup,width=1180,height=860");
  });
  byTestId("pause").addEventListener("click", () => {
    isPaused(nearcast.stats()) ? nearcast.resume() : nearcast.pause();
  });
}

/** Another tab may have paused, or this one on an earlier visit. */
function showPause(stats) {
  const pause = byTestId("pause");
  const paused = isPaused(stats);
  pause.disabled = stats.role === "off" && !paused;
  pause.ariaPressed = String(paused);
  const text = paused ? "Resume sharing" : "Pause sharing";
  if (pause.textContent !== text) pause.textContent = text;
}

/** Everything on the panel comes from `stats()`, `links()` and the events. */
function wirePanel(nearcast) {
  const picture = new MeshPicture();
  const past = new History();
  const totals = new Totals();
  const log = new RequestLog();
  const status = byTestId("status");
  const refresh = () => {
    const stats = nearcast.stats();
    const text = describeState(stats);
    // The same words again would make screen readers repeat them.
    if (status.textContent !== text) status.textContent = text;
    status.dataset.state = stats.role === "off" ? "off" : stats.links > 0 ? "sharing" : "alone";
    showPause(stats);
    totals.show(stats.bytes);
    picture.update(stats, nearcast.links?.() ?? []);
  };
  nearcast.addEventListener("stats", refresh);
  nearcast.addEventListener("link", refresh);
  nearcast.addEventListener("request", ({ detail }) => log.add(detail));
  nearcast.addEventListener("error", ({ detail }) => console.warn("nearcast:", detail));
  setInterval(refresh, PICTURE_MS);
  setInterval(() => past.push(nearcast.stats().bytes), HISTORY_MS);
  past.push(nearcast.stats().bytes);
  refresh();
}

async function readCatalog() {
  const response = await fetch("/demo/catalog.json");
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

async function main() {
  wireTabs();
  // The player waits for Nearcast: what it asks for before the worker controls the page would pass by it.
  const [nearcast, catalog] = await Promise.all([connect(), readCatalog()]);
  window.demo.catalog = catalog;
  wireButtons(nearcast);
  wirePanel(nearcast);
  const wanted = parameters.get("view");
  const first = VIEWS.find((view) => catalog[view].length > 0) ?? "hls";
  // Not awaited: `ready` means that the page is set up, and a film may take long to start.
  show(VIEWS.includes(wanted) ? wanted : first, parameters.get("src") ?? undefined);
}

window.demo.ready = main();
window.demo.ready.catch((error) => {
  byTestId("caption").textContent = `The demo could not start: ${error.message}`;
});
