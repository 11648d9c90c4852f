/**
 * When a viewer uploads: a guest in the page takes no metered line, no low battery and no forgotten tab
 * for others. This module is pure.
 * @module
 */

/** What the browser says of device and line; `undefined` where it says nothing. */
export interface DeviceFacts {
  readonly saveData: boolean | undefined;
  /** `navigator.connection.type`, for example `"cellular"`. */
  readonly lineType: string | undefined;
  readonly battery: { readonly level: number; readonly charging: boolean } | undefined;
  /** Milliseconds for which the host tab has been hidden without anything playing; 0 if it is not. */
  readonly hiddenMs: number;
}

/** The site's choice: the rules below, no upload at all, or upload whatever the device says. */
export type UploadRule = "auto" | "never" | "always";

const BATTERY_MIN = 0.2;
const HIDDEN_MAX_MS = 60_000;

/** @returns Why nothing may be uploaded now, or `undefined` if it may. */
export function uploadBarrier(rule: UploadRule, facts: DeviceFacts): string | undefined {
  if (rule === "always") return undefined;
  if (rule === "never") return "upload is off";
  if (facts.saveData === true) return "data saver";
  if (facts.lineType === "cellular") return "cellular line";
  if (facts.battery && !facts.battery.charging && facts.battery.level < BATTERY_MIN) {
    return "low battery";
  }
  return facts.hiddenMs > HIDDEN_MAX_MS ? "hidden page" : undefined;
}
