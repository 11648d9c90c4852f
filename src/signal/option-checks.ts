/**
 * Checks that several tables of options share; each error names option, rule and value.
 * @module
 */
import { NearcastError } from "../core/errors.js";

/** The error of every check: `Cannot start server as "<option>" <rule>: current value is <value>`. */
export function invalid(option: string, rule: string, value: unknown): NearcastError {
  const shown = JSON.stringify(value) ?? String(value);
  return new NearcastError(
    "config/invalid",
    `Cannot start server as \`${option}\` ${rule}: current value is ${shown.slice(0, 200)}`,
  );
}

/** A list of strings. */
export function listOf(option: string, value: unknown): readonly string[] {
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
  throw invalid(option, "must be a list of strings", value);
}

/** A non-empty string, or nothing. */
export function optionalText(option: string, value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "string" && value !== "") return value;
  throw invalid(option, "must be a non-empty string", value);
}

/** An http(s) URL, or nothing. */
export function parseHttpUrl(text: string): URL | undefined {
  try {
    const url = new URL(text);
    return url.protocol === "http:" || url.protocol === "https:" ? url : undefined;
  } catch {
    return undefined; // told apart by the caller, which knows the option's name
  }
}
