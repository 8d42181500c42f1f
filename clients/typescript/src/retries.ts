/** When a call is made again: exponential back-off with full jitter, within a number of attempts and a time. */

import type { GemserveError } from "./errors.js";

/**
 * Before attempt n + 1 the client waits a random time of up to `firstMs` · 2^(n-1), at most `longestMs`; where the server
 * says `Retry-After`, that long and the random time on top. No attempt begins later than `totalMs` after the first.
 * `attempts: 1` never tries again.
 */
export interface Retries {
  attempts: number;
  firstMs: number;
  longestMs: number;
  totalMs: number;
}

export const RETRIES: Retries = { attempts: 4, firstMs: 100, longestMs: 5_000, totalMs: 30_000 };

/**
 * `harmless`: a second time changes nothing. `undone`: only where the call was surely not carried out. `never`: the
 * caller wants to know about now.
 */
export type Repeat = "harmless" | "undone" | "never";

/** The attempts at one call. It neither sleeps nor sends: it is told what went wrong and says how long to wait. */
export class Attempts {
  readonly #retries: Retries;
  readonly #repeat: Repeat;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #begun: number;
  #made = 0;

  constructor(retries: Retries, repeat: Repeat, now: () => number, random: () => number) {
    this.#retries = retries;
    this.#repeat = repeat;
    this.#now = now;
    this.#random = random;
    this.#begun = now();
  }

  /** Milliseconds until the next attempt. Throws the error where there shall be none. */
  pauseAfter(error: GemserveError): number {
    this.#made += 1;
    const { attempts, firstMs, longestMs, totalMs } = this.#retries;
    if (this.#made >= attempts || !this.#mayRepeat(error)) throw error;
    const jitter = this.#random() * Math.min(longestMs, firstMs * 2 ** (this.#made - 1));
    const pause = jitter + (error.retryAfter ?? 0) * 1_000;
    if (this.#now() - this.#begun + pause > totalMs) throw error;
    return pause;
  }

  #mayRepeat(error: GemserveError): boolean {
    if (this.#repeat === "never") return false;
    if (error.status === 429) return true;
    return this.#repeat === "harmless" && (error.status === 503 || error.code === "connection_failed");
  }
}

/** Seconds of a Retry-After header, which has seconds or a date. */
export function retryAfter(header: string | null): number | undefined {
  if (header === null) return undefined;
  if (/^\s*\d+\s*$/.test(header)) return Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, (date - Date.now()) / 1_000);
}
