/**
 * Numbered pages over cursors. Page n is asked for with the cursor that page n - 1 ended with; those of the questions asked
 * last are remembered, so that the next page costs one request, and a jump walks over the pages between.
 */

import type { Answer, Question } from "@gemserve/client";

const MAX_REMEMBERED = 50;

export interface Page {
  answer: Answer;
  /** There is no such page: the answer is the last one's. */
  isBehind: boolean;
}

export class Pages {
  readonly #ask: (question: Question) => Promise<Answer>;
  readonly #maxPages: number;
  /** By question, the cursors that lead to page 1, 2, … */
  readonly #cursors = new Map<string, string[]>();

  constructor(ask: (question: Question) => Promise<Answer>, maxPages: number) {
    this.#ask = ask;
    this.#maxPages = maxPages;
  }

  async page(question: Question & { cursor?: string | null }, page: number): Promise<Page> {
    const key = JSON.stringify(question);
    if (page === 0) return { answer: await this.#fetch(key, question, 0), isBehind: false };
    if (page >= this.#maxPages) return { answer: await this.#fetch(key, question, 0), isBehind: true };
    let known = Math.min(this.#cursors.get(key)?.length ?? 0, page);
    for (;;) {
      const answer = await this.#fetch(key, question, known);
      if (known === page) return { answer, isBehind: false };
      if (!answer.next_cursor) return { answer, isBehind: true };
      known += 1;
    }
  }

  async #fetch(key: string, question: Question, page: number): Promise<Answer> {
    const cursors = this.#cursors.get(key) ?? [];
    const cursor = page === 0 ? undefined : cursors[page - 1];
    const answer = await this.#ask(cursor === undefined ? question : ({ ...question, cursor } as Question));
    const next = [...cursors.slice(0, page), ...(answer.next_cursor ? [answer.next_cursor] : [])];
    this.#cursors.delete(key);
    this.#cursors.set(key, page < cursors.length && cursors[page] === answer.next_cursor ? cursors : next);
    const oldest = this.#cursors.keys().next();
    if (this.#cursors.size > MAX_REMEMBERED && !oldest.done) this.#cursors.delete(oldest.value);
    return answer;
  }
}
