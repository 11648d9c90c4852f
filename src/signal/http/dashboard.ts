/**
 * `GET /dashboard`: what the server knows, for people. The page is constant but for the nonce of its policy;
 * everything that a viewer may have named comes as JSON and is shown as text (threat E10).
 * @module
 */
import type { ClusterStatus } from "../cluster/other-nodes.js";

/** What `GET /dashboard/data` answers. */
export interface DashboardData {
  readonly build: string;
  readonly uptimeS: number;
  readonly viewers: number;
  readonly attestedWindows: number;
  /** Absent for a server that is alone. */
  readonly redis: ClusterStatus | undefined;
  readonly sites: readonly {
    readonly site: string;
    readonly viewers: number;
    readonly enabled: boolean;
    readonly rampPercent: number;
    readonly requireToken: boolean;
  }[];
  /** Counters by name, then by label. */
  readonly counters: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** The policy of the page: its own style and script, its own data, nothing else. */
export function dashboardPolicy(nonce: string): string {
  return [
    "default-src 'none'",
    `style-src 'nonce-${nonce}'`,
    `script-src 'nonce-${nonce}'`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}

/** The page. @param nonce Base64url, fresh for each answer. */
export function dashboardPage(nonce: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Nearcast</title>
<style nonce="${nonce}">${STYLE}</style>
</head>
<body>
<header><h1>Nearcast</h1><p id="state" role="status">connecting</p></header>
<main>
<section class="tiles" aria-label="Now">
<div><h2>Viewers</h2><p id="viewers">–</p></div>
<div><h2>Origin spared</h2><p id="offload">–</p></div>
<div><h2>From viewers</h2><p id="mesh">–</p></div>
<div><h2>From the origin</h2><p id="origin">–</p></div>
<div id="cluster" hidden><h2 id="link">Redis</h2><p id="redis">–</p></div>
</section>
<section>
<h2>Bytes delivered, as viewers report them</h2>
<div class="bar" id="bar"></div>
<ul class="legend" id="legend"></ul>
</section>
<section>
<h2 id="scale">Last minutes</h2>
<svg id="chart" viewBox="0 0 600 140" preserveAspectRatio="none" role="img" aria-label="Rates by source"></svg>
</section>
<section><h2>Sites</h2><div class="scroll"><table><thead><tr><th>Site</th><th>Viewers</th><th>State</th><th>Ramp</th><th>Tokens</th></tr></thead><tbody id="sites"></tbody></table></div></section>
<section><h2>Counters</h2><div class="scroll"><table><tbody id="counters"></tbody></table></div></section>
</main>
<script nonce="${nonce}">${SCRIPT}</script>
</body>
</html>
`;
}

const STYLE = `
:root{color-scheme:light dark;--ground:#f6f7f9;--card:#fff;--ink:#171b22;--soft:#5c6675;--line:#e2e6ec;--cache:#7c8aa5;--mesh:#0f9d76;--origin:#d9822b}
@media(prefers-color-scheme:dark){:root{--ground:#0f1216;--card:#181d24;--ink:#e8ecf2;--soft:#94a0b2;--line:#2a313b;--cache:#8493ae;--mesh:#2fc79b;--origin:#eba04f}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif;font-variant-numeric:tabular-nums}
header,main{max-width:1000px;margin:0 auto;padding:0 20px}
header{display:flex;align-items:baseline;gap:14px;padding-top:28px}
h1{font-size:22px;margin:0;letter-spacing:-.01em}
#state{margin:0;color:var(--soft)}
main{display:grid;gap:16px;padding-top:18px;padding-bottom:40px}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px;min-width:0}
h2{font-size:13px;font-weight:600;color:var(--soft);margin:0 0 10px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:16px;background:none;border:0;padding:0}
.tiles div{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:16px 20px}
.tiles h2{margin:0}
.tiles p{font-size:28px;white-space:nowrap;font-weight:650;letter-spacing:-.02em;line-height:1.25;margin:4px 0 0}
@media(max-width:480px){.tiles p{font-size:19px}.tiles div{padding:14px 16px}td:first-child{min-width:150px}}
.bar{display:flex;height:14px;border-radius:7px;overflow:hidden;background:var(--line)}
.legend{display:flex;flex-wrap:wrap;gap:6px 22px;list-style:none;margin:12px 0 0;padding:0}
.legend li::before{content:"";display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:8px;background:currentColor}
.legend span{color:var(--ink)}
.cache{color:var(--cache)}.mesh{color:var(--mesh)}.origin{color:var(--origin)}
svg{display:block;width:100%;height:140px}
path{fill:none;stroke:currentColor;stroke-width:2;vector-effect:non-scaling-stroke}
line{stroke:var(--line);vector-effect:non-scaling-stroke}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:6px 16px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}
th{font-size:13px;font-weight:600;color:var(--soft)}
td+td,th+th{white-space:nowrap}
td:first-child{overflow-wrap:anywhere}
td.number{text-align:right;padding-right:0}
`;

const SCRIPT = `
const at = (id) => document.getElementById(id);
const SOURCES = { cache: "own stores", mesh: "other viewers", origin: "origin" };
const KEPT = 150;
const samples = [];
const units = ["B", "kB", "MB", "GB", "TB", "PB"];
function bytes(n) { let u = 0; while (n >= 1000 && u < 5) { n /= 1000; u++; } return (u && n < 100 ? n.toFixed(1) : Math.round(n)) + " " + units[u]; }
const count = (n) => n.toLocaleString("en");
const rate = (mbps) => (mbps < 10 ? mbps.toFixed(1) : count(Math.round(mbps))) + " Mbit/s";
function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}
function duration(s) {
  const d = Math.floor(s / 86400), h = Math.floor(s / 3600) % 24, m = Math.floor(s / 60) % 60;
  return d ? d + " d " + h + " h" : h ? h + " h " + m + " min" : m ? m + " min" : Math.floor(s) + " s";
}
function rates() {
  return samples.slice(1).map((now, i) => {
    const seconds = (now.atMs - samples[i].atMs) / 1000;
    return Object.fromEntries(Object.keys(SOURCES).map((s) => [s, Math.max(0, now[s] - samples[i][s]) * 8e-6 / seconds]));
  });
}
function draw(list) {
  const max = Math.max(1, ...list.flatMap((r) => Object.values(r)));
  const svg = "http://www.w3.org/2000/svg";
  const lines = [0.25, 0.5, 0.75].map((y) => {
    const line = document.createElementNS(svg, "line");
    for (const [k, v] of Object.entries({ x1: 0, x2: 600, y1: 140 * y, y2: 140 * y })) line.setAttribute(k, v);
    return line;
  });
  const paths = Object.keys(SOURCES).map((s) => {
    const path = document.createElementNS(svg, "path");
    path.setAttribute("class", s);
    const x = (i) => 600 - (list.length - 1 - i) * 600 / Math.max(30, list.length - 1);
    path.setAttribute("d", list.map((r, i) => (i ? "L" : "M") + x(i).toFixed(1) + " " + (136 - r[s] / max * 130).toFixed(1)).join(""));
    return path;
  });
  at("scale").textContent = "Last minutes, up to " + rate(max);
  at("chart").replaceChildren(...lines, ...paths);
}
function show(data) {
  const by = data.counters.nearcast_viewer_bytes_total ?? {};
  const sample = { atMs: performance.now() };
  for (const s of Object.keys(SOURCES)) sample[s] = by[s] ?? 0;
  samples.push(sample);
  if (samples.length > KEPT) samples.shift();
  const total = sample.cache + sample.mesh + sample.origin;
  at("cluster").hidden = !data.redis;
  if (data.redis) {
    const { state, latencyMs, nodes } = data.redis;
    at("redis").textContent = nodes + (nodes === 1 ? " node" : " nodes");
    at("link").textContent = "Redis " + state + (state === "down" ? "" : ", " + latencyMs.toFixed(1) + " ms");
  }
  const list = rates();
  const last = list.slice(-5);
  const mean = (s) => last.reduce((sum, r) => sum + r[s], 0) / Math.max(1, last.length);
  at("state").textContent = "running for " + duration(data.uptimeS) + ", version " + data.build;
  at("viewers").textContent = count(data.viewers);
  at("offload").textContent = total ? (100 * (sample.cache + sample.mesh) / total).toFixed(1) + " %" : "–";
  at("mesh").textContent = rate(mean("mesh"));
  at("origin").textContent = rate(mean("origin"));
  at("bar").replaceChildren(...Object.keys(SOURCES).map((s) => {
    const part = element("div", s);
    part.style.cssText = "background:currentColor;width:" + (total ? 100 * sample[s] / total : 0) + "%";
    return part;
  }));
  at("legend").replaceChildren(...Object.entries(SOURCES).map(([s, name]) =>
    element("li", s, element("span", "", name + " " + bytes(sample[s])))));
  draw(list);
  at("sites").replaceChildren(...data.sites.map((s) => element("tr", "",
    element("td", "", s.site), element("td", "", count(s.viewers)), element("td", "", s.enabled ? "on" : "off"),
    element("td", "", s.rampPercent + " %"), element("td", "", s.requireToken ? "required" : "not required"))));
  const rows = Object.entries(data.counters).flatMap(([name, values]) => Object.entries(values).map(([label, n]) =>
    element("tr", "", element("td", "", name.replace(/^nearcast_|_total$/g, "").replaceAll("_", " ") + (label ? ": " + label : "")),
      element("td", "number", name.includes("bytes") ? bytes(n) : count(n)))));
  at("counters").replaceChildren(...rows);
}
async function tick() {
  try {
    const response = await fetch("/dashboard/data", { cache: "no-store" });
    show(await response.json());
  } catch {
    at("state").textContent = "the server does not answer";
  }
  setTimeout(tick, 2000);
}
tick();
`;
