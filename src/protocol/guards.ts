/**
 * Building blocks for the hand-written guards of JSON and structured-clone messages: own properties
 * only, no unknown keys, every size bounded. (A schema library would double the SDK for a dozen shapes.)
 * @module
 */
import { NearcastError } from "../core/errors.js";

/** Tells whether an unknown value is a valid `T`; never throws, never reads inherited properties. */
export type Guard<T> = (value: unknown) => value is T;

export const isString =
  (maxLength: number, pattern?: RegExp): Guard<string> =>
  (value): value is string =>
    typeof value === "string" && value.length <= maxLength && (pattern?.test(value) ?? true);

export const isCount =
  (max: number): Guard<number> =>
  (value): value is number =>
    Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max;

export const isBoolean: Guard<boolean> = (value): value is boolean => typeof value === "boolean";

export const isLiteral =
  <const T extends string | number | boolean | null>(...literals: readonly T[]): Guard<T> =>
  (value): value is T =>
    literals.includes(value as T);

export const isArray =
  <T>(item: Guard<T>, maxItems: number): Guard<readonly T[]> =>
  (value): value is readonly T[] =>
    // Spread, because `every` skips holes, and structured clone keeps them.
    Array.isArray(value) && value.length <= maxItems && [...value].every((entry) => item(entry));

export const isEither =
  <A, B>(a: Guard<A>, b: Guard<B>): Guard<A | B> =>
  (value): value is A | B =>
    a(value) || b(value);

export const isOptional =
  <T>(guard: Guard<T>): Guard<T | undefined> =>
  (value): value is T | undefined =>
    value === undefined || guard(value);

/** A tuple of exactly these items. */
export const isTuple =
  <T extends readonly unknown[]>(...items: { [K in keyof T]: Guard<T[K]> }): Guard<T> =>
  (value): value is T =>
    Array.isArray(value) &&
    value.length === items.length &&
    items.every((item, index) => (item as Guard<unknown>)(value[index]));

/** An object with exactly these own keys (optional ones may be missing) and no others. */
export const isShape =
  <T extends object>(shape: { readonly [K in keyof T]-?: Guard<T[K]> }): Guard<T> =>
  (value): value is T => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
    if (Object.keys(value).some((key) => !Object.hasOwn(shape, key))) return false;
    return Object.entries<Guard<unknown>>(shape).every(([key, guard]) =>
      guard(Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined),
    );
  };

/** Picks the guard by the message's own `type`. */
export function decodeByType<T extends { readonly type: string }>(
  guards: { readonly [K in T["type"]]: Guard<T> },
  value: unknown,
): T {
  const type =
    typeof value === "object" && value !== null && Object.hasOwn(value, "type")
      ? (value as { type: unknown }).type
      : undefined;
  if (typeof type !== "string" || !Object.hasOwn(guards, type)) {
    throw new NearcastError(
      "protocol/malformed",
      `Cannot decode message of type ${describe(type)}`,
    );
  }
  const guard = guards[type as T["type"]];
  if (guard(value)) return value;
  throw new NearcastError("protocol/malformed", `Cannot decode message "${type}": wrong fields`);
}

function describe(value: unknown): string {
  return typeof value === "string" ? `"${value.slice(0, 32)}"` : typeof value;
}
