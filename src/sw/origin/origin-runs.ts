/**
 * What one delivery reads of the origin: runs of pieces, each a range request, or one body for all of them where the
 * origin fails at ranges. A run whose body breaks off goes on from there, as long as each answer brings something:
 * to have it planned anew would cost a round of the planner besides the origin's round trip.
 * @module
 */
import { NearcastError } from "../../core/errors.js";
import { type ByteRange, bytesOfPiece, type PieceRange } from "../../protocol/asset.js";
import type { Header } from "../../protocol/attestation.js";
import { bodyStartOf, PieceCutter, readRange, sameValidators } from "./origin-reader.js";

export interface OriginRunsOptions {
  readonly length: number;
  /** Response headers of the attested version. */
  readonly headers: readonly Header[];
  /** Fetches `[start, end)` of the asset from the origin, as the page's request would. */
  readonly fetchRange: (range: ByteRange, signal: AbortSignal) => Promise<Response>;
  /** Asks as the page did, where that was without a range: for origins that fail at ranges. */
  readonly fetchWhole?: ((signal: AbortSignal) => Promise<Response>) | undefined;
}

/** What the delivery needs, and where pieces go. */
export interface OriginRunsHandlers {
  /** Of the pieces `[from, to)`, those from the first to the last one that is not here; `undefined`: none. */
  readonly missing: (pieces: PieceRange) => PieceRange | undefined;
  /** Rejects with `integrity/mismatch` if the piece is not the attested one. */
  readonly onPiece: (
    piece: number,
    bytes: Uint8Array<ArrayBuffer>,
    sameVersion: boolean,
  ) => Promise<void>;
}

/** One answer of the origin, awaited or read. */
interface Run {
  readonly pieces: PieceRange;
  /** Ends it when nothing of it is missing any more. */
  readonly stop: AbortController;
  /** How many pieces it brought. */
  brought: number;
  /** When it was asked for, answered, or brought a piece last. */
  heardMs: number;
  /** Its answer is here, or is not waited for any longer. */
  answered: Promise<void>;
  ended: Promise<void>;
}

interface Answer {
  readonly response: Response;
  /** Where its body lies in the asset. */
  readonly bodyStart: number;
  /** What to take out of it. */
  readonly pieces: PieceRange | undefined;
}

const EVERYTHING: PieceRange = { from: 0, to: Number.POSITIVE_INFINITY };

/**
 * Further orders wait for an answer under way, no longer than that, and go out as one. Chromium lets one range of a URL
 * through its cache at a time anyway, and of three at once breaks some off to ask again.
 */
const ANSWER_MS = 500;
/** Nobody counts on a run that was silent for longer; the delivery goes on alone half a second later. */
const SILENT_MS = 2_000;

export class OriginRuns {
  readonly #options: OriginRunsOptions;
  readonly #handlers: OriginRunsHandlers;
  readonly #signal: AbortSignal;
  readonly #runs = new Set<Run>();
  /** The one whose answer is awaited. */
  #awaited: Run | undefined;
  /** What waits for that answer. */
  readonly #waiting = new Set<PieceRange>();
  /** The one whose body brings everything. */
  #whole: Run | undefined;

  /** @param signal The delivery's end. */
  constructor(options: OriginRunsOptions, handlers: OriginRunsHandlers, signal: AbortSignal) {
    this.#options = options;
    this.#handlers = handlers;
    this.#signal = signal;
  }

  /**
   * Resolves when the pieces are here, whoever brought them.
   *
   * @throws {NearcastError} `origin/failed`, `origin/short`, `integrity/version`, `integrity/mismatch`; or whatever
   * the network rejects with.
   */
  async read(ordered: PieceRange): Promise<void> {
    for (;;) {
      const pieces = this.#handlers.missing(ordered);
      if (!pieces) return;
      const run = this.#runFor(pieces);
      if (!run) {
        this.#waiting.add(pieces);
        await this.#awaited?.answered;
        // From here to the next run nothing else happens, so the first in line takes all others along.
        this.#waiting.delete(pieces);
        continue;
      }
      try {
        return await run.ended;
      } catch (error) {
        if (!this.#mayGoOn(run, error)) throw error;
      }
    }
  }

  /** The run that brings the pieces, a new one if its turn has come. */
  #runFor({ from, to }: PieceRange): Run | undefined {
    const nowMs = performance.now();
    for (const run of this.#runs) {
      const brings = run === this.#whole || (run.pieces.from <= from && run.pieces.to >= to);
      if (brings && nowMs - run.heardMs < SILENT_MS) return run;
    }
    return this.#awaited ? undefined : this.#begin(this.#withWaiting({ from, to }));
  }

  /** All that waits and touches it. */
  #withWaiting({ from, to }: PieceRange): PieceRange {
    let all = { from, to };
    const touches = (other: PieceRange) => other.from <= all.to && other.to >= all.from;
    const left = new Set(this.#waiting);
    for (let next = [...left].find(touches); next; next = [...left].find(touches)) {
      left.delete(next);
      all = { from: Math.min(all.from, next.from), to: Math.max(all.to, next.to) };
    }
    return this.#handlers.missing(all) ?? all;
  }

  #mayGoOn({ brought }: Run, error: unknown): boolean {
    // Another version does not become ours by asking again.
    return brought > 0 && !isOfAnotherVersion(error) && !this.#signal.aborted;
  }

  #begin(pieces: PieceRange): Run {
    const answered = Promise.withResolvers<void>();
    const run: Run = {
      ...{ pieces, stop: new AbortController(), brought: 0, heardMs: performance.now() },
      ...{ answered: answered.promise, ended: Promise.resolve() },
    };
    this.#runs.add(run);
    this.#awaited = run;
    const onAnswer = () => {
      clearTimeout(timer);
      if (this.#awaited === run) this.#awaited = undefined;
      answered.resolve();
    };
    const timer = setTimeout(onAnswer, ANSWER_MS);
    run.ended = this.#play(run, onAnswer).finally(() => {
      onAnswer();
      this.#runs.delete(run);
      if (this.#whole === run) this.#whole = undefined;
    });
    return run;
  }

  async #play(run: Run, onAnswer: () => void): Promise<void> {
    const signal = AbortSignal.any([run.stop.signal, this.#signal]);
    const answer = await this.#ask(run, signal);
    run.heardMs = performance.now();
    onAnswer();
    if (answer.pieces) await this.#take(run, answer, answer.pieces, signal);
    else run.stop.abort();
  }

  async #ask(run: Run, signal: AbortSignal): Promise<Answer> {
    const { pieces } = run;
    const { length, fetchRange, fetchWhole } = this.#options;
    const { start } = bytesOfPiece(pieces.from, length);
    const { end } = bytesOfPiece(pieces.to - 1, length);
    const response = await fetchRange({ start, end }, signal);
    // An origin that ignores Range sends everything for every range: nothing of it is lost.
    if (response.status === 200) return this.#answerWith(run, response);
    try {
      return { response, bodyStart: bodyStartOf(response, { start, end }, length), pieces };
    } catch (error) {
      void response.body?.cancel().catch(() => undefined);
      const unfit = error instanceof NearcastError && error.code === "origin/failed";
      if (!unfit || !fetchWhole) throw error;
    }
    // One that refuses ranges, or sends others than asked for, would have answered the page's own request.
    this.#whole ??= run;
    return this.#answerWith(run, await fetchWhole(signal));
  }

  #answerWith(run: Run, whole: Response): Answer {
    this.#whole ??= run;
    const { length } = this.#options;
    const bodyStart = bodyStartOf(whole, { start: 0, end: length }, length);
    return { response: whole, bodyStart, pieces: this.#handlers.missing(EVERYTHING) };
  }

  /** Takes pieces out of an answer. */
  async #take(
    run: Run,
    { response, bodyStart }: Answer,
    { from, to }: PieceRange,
    signal: AbortSignal,
  ): Promise<void> {
    const { length, headers } = this.#options;
    const { missing, onPiece } = this.#handlers;
    const { start } = bytesOfPiece(from, length);
    const { end } = bytesOfPiece(to - 1, length);
    const sameVersion = sameValidators(response.headers, headers);
    const checks: Promise<void>[] = [];
    let failure: unknown;
    const check = async (piece: number, bytes: Uint8Array<ArrayBuffer>) => {
      try {
        await onPiece(piece, bytes, sameVersion);
        run.brought++;
        run.heardMs = performance.now();
      } catch (error) {
        failure ??= error;
        run.stop.abort();
      }
    };
    const cutter = new PieceCutter({
      length,
      start,
      emit: (piece, bytes) => {
        checks.push(check(piece, bytes));
        // All that is left of the run came from peers meanwhile: the origin may stop.
        if (piece + 1 < to && !missing({ from: piece + 1, to })) run.stop.abort();
      },
    });
    try {
      await readRange(response, { start, end, bodyStart }, (chunk) => cutter.push(chunk), signal);
    } catch (error) {
      if (!run.stop.signal.aborted) failure ??= error;
    }
    await Promise.all(checks);
    if (failure !== undefined) throw failure;
  }
}

/** Whether a run failed because what the origin has is not the attested version. */
export function isOfAnotherVersion(failure: unknown): failure is NearcastError {
  return failure instanceof NearcastError && failure.code.startsWith("integrity/");
}
