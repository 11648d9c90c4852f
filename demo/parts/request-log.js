/** The table of the last requests, newest first, each with the sources that its bytes came from. */
import { formatBytes, formatDuration, SOURCE_NAMES, SOURCES } from "./format.js";

const ROWS_MAX = 40;

function badge(source, share) {
  const percent = share === 1 ? "" : ` ${Math.round(share * 100)} %`;
  return cellPart(`badge ${source}`, SOURCE_NAMES[source] + percent);
}

function cellPart(className, text) {
  const element = document.createElement("span");
  element.className = className;
  element.textContent = text;
  return element;
}

function cell(content, className = "") {
  const element = document.createElement("td");
  element.className = className;
  element.append(...[content].flat());
  return element;
}

export class RequestLog {
  #rows = document.querySelector('[data-testid="log"] tbody');
  #empty = document.querySelector('[data-testid="log-empty"]');

  constructor() {
    // Safari does not let the keyboard into a scrolling box by itself.
    this.#rows.closest(".scroll").tabIndex = 0;
  }

  /** @param detail Of a "request" event. */
  add({ url, bytes, status, durationMs }) {
    this.#empty.hidden = true;
    const total = SOURCES.reduce((sum, source) => sum + (bytes[source] ?? 0), 0);
    const sources = SOURCES.filter((source) => bytes[source] > 0);
    const row = document.createElement("tr");
    const { pathname } = new URL(url, location.href);
    const [folder, name] = decodeURIComponent(pathname).split("/").slice(-2);
    const file = cell([cellPart("folder", `${folder}/`), name], "file");
    file.title = url;
    row.append(
      file,
      cell(
        sources.length > 0
          ? sources.map((source) => badge(source, bytes[source] / total))
          : `status ${status}`,
      ),
      cell(formatBytes(total), "number"),
      cell(formatDuration(durationMs), "number time"),
    );
    this.#rows.prepend(row);
    while (this.#rows.rows.length > ROWS_MAX) this.#rows.rows[ROWS_MAX].remove();
  }
}
