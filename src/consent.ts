/**
 * The viewer's answer to the question of consent: remembered for this site, heard from its other pages, asked
 * for where Nearcast is to ask.
 * @module
 */
import { askConsent, type PromptTexts } from "./consent-prompt.js";
import { recall, remember } from "./mesh/tabs/memory.js";

export interface ConsentOptions {
  /** Whether nothing may start without a yes. */
  readonly required: boolean;
  /** `undefined`: the site asks. */
  readonly prompt: PromptTexts | undefined;
  /** An answer, given here or in another page of this profile. */
  readonly onAnswer: (given: boolean) => void;
  /** Storage is blocked: the answer holds for this page. */
  readonly onForgotten: (key: string) => void;
  readonly signal: AbortSignal;
}

const KEY = "nearcast-consent";

export class ConsentAnswer {
  readonly #options: ConsentOptions;
  #asking = new AbortController();

  constructor(options: ConsentOptions) {
    this.#options = options;
    options.signal.addEventListener("abort", () => this.#asking.abort(), { once: true });
  }

  /** From now on what other pages are told is heard here. */
  listen(): void {
    const { signal } = this.#options;
    addEventListener("storage", ({ key, newValue }) => this.#told(key, newValue), { signal });
  }

  /** Whether nothing may start now. */
  get lacking(): boolean {
    const answer = recall(KEY);
    return answer === "no" || (this.#options.required && answer !== "yes");
  }

  /** Asks who has not answered yet. */
  ask(): void {
    const { prompt } = this.#options;
    if (recall(KEY) !== undefined || !prompt) return;
    this.#asking = new AbortController();
    askConsent(prompt, (given) => this.give(given), this.#asking.signal);
  }

  /** The viewer has answered, for all pages of this profile. */
  give(given: boolean): void {
    if (!remember(KEY, given ? "yes" : "no")) this.#options.onForgotten(KEY);
    this.#answered(given);
  }

  #told(key: string | null, answer: string | null): void {
    if (key === KEY && answer !== null) this.#answered(answer === "yes");
  }

  #answered(given: boolean): void {
    this.#asking.abort();
    if (!this.#options.signal.aborted) this.#options.onAnswer(given);
  }
}
