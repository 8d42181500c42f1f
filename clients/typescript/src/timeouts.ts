/** Waiting that ends early: for a pause, and for an answer that does not come. */

/** Throws the signal's reason as soon as it aborts. */
export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** A signal that aborts when the caller's does, or when nothing has come for a time. */
export class InactivityTimeout {
  readonly #controller = new AbortController();
  readonly #caller: AbortSignal | undefined;
  readonly #milliseconds: number;
  readonly #abort = (): void => this.#controller.abort(this.#caller?.reason);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #over = false;

  constructor(milliseconds: number, caller: AbortSignal | undefined) {
    caller?.throwIfAborted();
    this.#milliseconds = milliseconds;
    this.#caller = caller;
    caller?.addEventListener("abort", this.#abort, { once: true });
    this.renew();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether it was the time that ended. */
  get over(): boolean {
    return this.#over;
  }

  /** Something has come: the time begins anew. */
  renew(): void {
    this.pause();
    this.#timer = setTimeout(() => {
      this.#over = true;
      this.#controller.abort();
    }, this.#milliseconds);
  }

  /** What has come is being looked at: no time runs until `renew`. */
  pause(): void {
    clearTimeout(this.#timer);
  }

  /** Nothing is waited for any more. */
  end(): void {
    this.pause();
    this.#caller?.removeEventListener("abort", this.#abort);
  }
}
