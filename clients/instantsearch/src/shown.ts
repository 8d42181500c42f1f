/** Which answer has shown an item last, and for which words: events name both, so that they can be joined to it. */

export interface Origin {
  /** Of the answer. */
  requestId: string;
  /** What had been typed; undefined where nothing was. */
  query: string | undefined;
}

const MAX_ANSWERS = 50;

export class Shown {
  /** By request id, the oldest first. */
  readonly #answers = new Map<string, Origin & { ids: ReadonlySet<string> }>();

  add(origin: Origin, ids: Iterable<string>): void {
    this.#answers.delete(origin.requestId);
    this.#answers.set(origin.requestId, { ...origin, ids: new Set(ids) });
    const oldest = this.#answers.keys().next();
    if (this.#answers.size > MAX_ANSWERS && !oldest.done) this.#answers.delete(oldest.value);
  }

  /** requestId: of the answer, where it is known; without words if that is not one of the last 50. */
  of(id: string, requestId?: string): Origin | undefined {
    if (requestId !== undefined) return this.#answers.get(requestId) ?? { requestId, query: undefined };
    return [...this.#answers.values()].reverse().find(({ ids }) => ids.has(id));
  }
}
