/**
 * Counters in the text format of Prometheus. Labels come from fixed sets only, so that nothing a client
 * sends can make a new series.
 * @module
 */

/** Every counter: what it counts and the name of its label, if it has one. */
const COUNTERS = {
  nearcast_sockets_total: ["WebSockets accepted"],
  nearcast_upgrades_refused_total: ["WebSockets refused before they opened", "reason"],
  nearcast_messages_total: ["Valid messages of viewers", "type"],
  nearcast_rejected_total: ["Frames dropped", "reason"],
  nearcast_relayed_total: ["Signaling messages passed on", "type"],
  nearcast_attested_windows_total: ["Windows attested"],
  nearcast_attested_bytes_total: ["Bytes read to attest them", "source"],
  nearcast_refused_total: ["Wants answered without an attestation"],
  nearcast_neighbours_total: ["Neighbourhoods sent because they changed"],
  nearcast_pushed_total: ["Attestations sent without being asked for"],
  nearcast_reports_total: ["Peers reported by viewers", "reason"],
  nearcast_viewer_bytes_total: ["Bytes as viewers report them", "source"],
  nearcast_hops_total: ["Signaling messages to and from other nodes", "outcome"],
  nearcast_shared_index_total: ["What the shared index was used for", "use"],
  nearcast_redis_failures_total: ["Commands and connections that Redis failed"],
  nearcast_slow_consumers_total: ["Sockets cut because they did not read"],
} as const satisfies Record<string, readonly [help: string, label?: string]>;

export type CounterName = keyof typeof COUNTERS;

/** The counters of one server. */
export class Metrics {
  readonly #values = new Map<CounterName, Map<string, number>>();

  /** @param label One of a fixed set of values, for counters that have a label. */
  add(name: CounterName, label = "", by = 1): void {
    const values = this.#values.get(name) ?? new Map<string, number>();
    values.set(label, (values.get(label) ?? 0) + by);
    this.#values.set(name, values);
  }

  /** All values by name and label. */
  snapshot(): Record<string, Record<string, number>> {
    return Object.fromEntries(
      [...this.#values].map(([name, values]) => [name, Object.fromEntries(values)]),
    );
  }

  /** The page that Prometheus reads. @param gauges Values of the moment by full name. */
  format(gauges: Readonly<Record<string, number>>): string {
    const lines = Object.entries(gauges).flatMap(([name, value]) => [
      `# TYPE ${name} gauge`,
      `${name} ${value}`,
    ]);
    for (const name of Object.keys(COUNTERS) as CounterName[]) {
      const [help, label]: readonly [string, string?] = COUNTERS[name];
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} counter`);
      const values = this.#values.get(name) ?? new Map(label === undefined ? [["", 0]] : []);
      for (const [value, count] of values) {
        lines.push(`${name}${label === undefined ? "" : `{${label}="${value}"}`} ${count}`);
      }
    }
    return `${lines.join("\n")}\n`;
  }
}
