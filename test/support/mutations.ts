/**
 * Every way in which one field of a JSON message can be wrong, for guards to reject.
 * @module
 */

export interface Mutation {
  /** Where and how, for the message of a failing test. */
  readonly label: string;
  readonly value: unknown;
}

/** Longer than any string or list that a message may carry. */
const TOO_LONG = 5_000;

/**
 * Yields copies of `message` with one value replaced, one key missing or one key too many, at every depth.
 *
 * @param optional Keys that may be missing.
 */
export function* mutationsOf(
  message: unknown,
  { optional = [] }: { readonly optional?: readonly string[] } = {},
): Generator<Mutation> {
  yield* replacements(message);
  if (Array.isArray(message)) {
    for (const [index, item] of message.entries()) {
      for (const { label, value } of mutationsOf(item, { optional })) {
        yield { label: `[${index}]${label}`, value: message.with(index, value) };
      }
    }
  } else if (typeof message === "object" && message !== null) {
    yield* objectMutations(message, optional);
  }
}

function* objectMutations(message: object, optional: readonly string[]): Generator<Mutation> {
  yield { label: " with an unknown key", value: { ...message, extra: 1 } };
  yield { label: " with __proto__", value: { ...message, ["__proto__"]: {} } };
  for (const [key, field] of Object.entries(message)) {
    if (!optional.includes(key)) {
      const { [key]: _, ...rest } = message as Record<string, unknown>;
      yield { label: ` without ${key}`, value: rest };
      yield {
        label: ` with ${key} inherited`,
        value: Object.assign(Object.create({ [key]: field }), rest),
      };
    }
    for (const { label, value } of mutationsOf(field, { optional })) {
      yield { label: `.${key}${label}`, value: { ...message, [key]: value } };
    }
  }
}

function* replacements(value: unknown): Generator<Mutation> {
  for (const wrong of wrongFor(value)) yield { label: ` = ${describe(wrong)}`, value: wrong };
}

function wrongFor(value: unknown): unknown[] {
  if (typeof value === "string") return [7, null, true, {}, "x".repeat(TOO_LONG), [{}]];
  if (typeof value === "number") return [-1, 1.5, Number.NaN, 2 ** 53, "1", null, true, [], {}];
  if (typeof value === "boolean") return [0, 1, "true", null, {}];
  if (!Array.isArray(value)) return [null, "x", 7, [], [value]];
  const tooMany = Array(TOO_LONG).fill(value[0] ?? null);
  return [null, "x", 7, {}, { length: 0 }, tooMany, [...value, null]];
}

function describe(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, 40);
}
