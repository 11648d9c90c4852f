/**
 * Watches what the browser tells of line, battery and visibility. Everything is optional: what a browser
 * does not tell stays unknown.
 * @module
 */
import type { DeviceFacts } from "../../engine/uploads/manners.js";

interface NetworkInformation extends EventTarget {
  readonly saveData?: boolean;
  readonly type?: string;
}

interface BatteryManager extends EventTarget {
  readonly level: number;
  readonly charging: boolean;
}

/** Parts of `navigator` that TypeScript's library leaves out, as not every browser has them. */
interface DeviceNavigator {
  readonly connection?: NetworkInformation;
  getBattery?(): Promise<BatteryManager>;
}

const CHECK_MS = 5_000;

/**
 * Reports the facts at once, at every change, and every few seconds for the sake of time.
 *
 * @param playing Whether any page of the profile plays something.
 */
export function watchDevice(
  {
    playing,
    now,
    onFacts,
  }: { playing: () => boolean; now: () => number; onFacts: (facts: DeviceFacts) => void },
  signal: AbortSignal,
): void {
  const { connection, getBattery } = navigator as DeviceNavigator;
  let battery: BatteryManager | undefined;
  let hiddenSinceMs: number | undefined;
  const report = () => {
    const idle = document.visibilityState === "hidden" && !playing();
    hiddenSinceMs = idle ? (hiddenSinceMs ?? now()) : undefined;
    onFacts({
      saveData: connection?.saveData,
      lineType: connection?.type,
      battery: battery && { level: battery.level, charging: battery.charging },
      hiddenMs: hiddenSinceMs === undefined ? 0 : now() - hiddenSinceMs,
    });
  };
  const timer = setInterval(report, CHECK_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  connection?.addEventListener("change", report, { signal });
  document.addEventListener("visibilitychange", report, { signal });
  report();
  // Refused by permissions policy in some frames: then the battery stays unknown.
  getBattery
    ?.call(navigator)
    .then((manager) => {
      battery = manager;
      for (const name of ["levelchange", "chargingchange"]) {
        manager.addEventListener(name, report, { signal });
      }
      report();
    })
    .catch(() => undefined);
}
