/** The big number, the bar and the chart of the last minute; all three from `stats().bytes`. */
import { formatBytes, formatRate, SOURCE_NAMES, SOURCES } from "./format.js";

const SECONDS = 60;
const CHART = { width: 600, height: 150 };
/** A quiet mesh must not look like a busy one: the scale never shows less than this as its full height. */
const SCALE_MIN_BYTES_PER_S = 100_000;

const SVG = "http://www.w3.org/2000/svg";

export class Totals {
  #offload = document.querySelector('[data-testid="offload"]');
  #bar = document.querySelector('[data-testid="bar"]');

  /** @param bytes `stats().bytes`. */
  show(bytes) {
    const total = SOURCES.reduce((sum, source) => sum + bytes[source], 0);
    for (const name of [...SOURCES, "uploaded"]) {
      document.querySelector(`[data-testid="bytes-${name}"]`).textContent = formatBytes(
        bytes[name],
      );
    }
    if (total === 0) return;
    const percent = (source) => (100 * bytes[source]) / total;
    // Rounded down, so that 100 % means that the origin really sent nothing.
    this.#offload.textContent = `${Math.floor(100 - percent("origin"))} %`;
    for (const source of SOURCES) {
      const part = this.#bar.querySelector(`.${source}`);
      part.style.flexGrow = percent(source);
      part.hidden = bytes[source] === 0; // or the gap beside it would show
    }
    this.#bar.ariaLabel = SOURCES.map(
      (source) => `${SOURCE_NAMES[source]} ${Math.round(percent(source))} %`,
    ).join(", ");
  }
}

export class History {
  #seconds = Array.from({ length: SECONDS }, () => ({ mesh: 0, cache: 0, origin: 0 }));
  #columns;
  #last;
  #rate = document.querySelector('[data-testid="rate"]');

  constructor(svg = document.querySelector("#history")) {
    const step = CHART.width / SECONDS;
    this.#columns = this.#seconds.map((_, second) =>
      SOURCES.map((source) => {
        const rect = document.createElementNS(SVG, "rect");
        rect.setAttribute("class", source);
        rect.setAttribute("x", second * step + 0.75);
        rect.setAttribute("width", step - 1.5);
        return svg.appendChild(rect);
      }),
    );
  }

  /** Adds what came since the last call, which the caller makes once per second. */
  push(bytes) {
    const last = this.#last ?? bytes;
    this.#last = { ...bytes };
    // Counters that went back belong to a Nearcast that was started anew.
    const second = Object.fromEntries(
      SOURCES.map((source) => [source, Math.max(0, bytes[source] - last[source])]),
    );
    this.#seconds = [...this.#seconds.slice(1), second];
    this.#draw();
  }

  #draw() {
    const sum = (second) => SOURCES.reduce((total, source) => total + second[source], 0);
    const peak = Math.max(SCALE_MIN_BYTES_PER_S, ...this.#seconds.map(sum));
    this.#seconds.forEach((second, at) => {
      let top = CHART.height;
      SOURCES.forEach((source, layer) => {
        const height = (CHART.height * 0.96 * second[source]) / peak;
        top -= height;
        this.#columns[at][layer].setAttribute("y", top);
        this.#columns[at][layer].setAttribute("height", height);
      });
    });
    const average = this.#seconds.slice(-5).reduce((total, second) => total + sum(second), 0) / 5;
    this.#rate.textContent = `${formatRate(average)} now, peak ${formatRate(Math.max(...this.#seconds.map(sum)))}`;
  }
}
