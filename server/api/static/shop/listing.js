/**
 * A list of items and every state it can be in: waiting, shown, empty, failed, with more to come. The search and the shelf
 * are one each. A request that is overtaken by a newer one is given up, and nothing of it is shown any more.
 */

import { ApiProblem, Unreachable } from "./api.js";
import { card, skeleton } from "./card.js";
import { element, icon } from "./element.js";
import { COUNTED } from "./facets.js";
import { countInWords } from "./words.js";

const PAGE = 12;

/** @typedef {import("./types.js").Question} Question */

export class Listing {
  #abort = new AbortController();
  #status = element("p", { class: "listing-status", role: "status" });
  #grid = element("ul", { class: "grid", role: "list", tabindex: "-1" });
  #message = element("div", { class: "message", hidden: true });
  #more = element("button", { type: "button", class: "button more", hidden: true, onclick: () => this.#continue() }, "Show more");
  /** @type {Question | null} */
  #question = null;
  /** @type {string | null} */
  #cursor = null;
  #options;

  /**
   * @param {HTMLElement} root  gets the list at its end
   * @param {object} options
   * @param {import("./api.js").Api} options.api
   * @param {() => Question} options.ask
   * @param {(answer: import("./types.js").Answer) => void} options.onShown  after a first page
   * @param {{title: string, hint: string}} options.empty
   * @param {() => void} options.onClear  takes all filters away
   * @param {(item: import("./types.js").Item, shown: import("./types.js").Shown) => void} options.onOpen
   * @param {(item: import("./types.js").Item, question: Question) => void} options.onWhy
   */
  constructor(root, options) {
    this.#options = options;
    root.append(this.#status, this.#message, this.#grid, this.#more);
  }

  get hasFailed() {
    return this.#message.matches('[role="alert"]') && !this.#message.hidden;
  }

  /** Asks anew, from the first page on. */
  async load() {
    const question = { ...this.#options.ask(), k: PAGE };
    this.#wait();
    await this.#answered(question, (answer) => {
      this.#question = question;
      this.#replace(this.#cards(question, answer), () => this.#tell(answer));
      this.#options.onShown(answer);
    });
  }

  /** Gives up what is under way. */
  cancel() {
    this.#abort.abort();
  }

  async #continue() {
    const question = { .../** @type {Question} */ (this.#question), cursor: /** @type {string} */ (this.#cursor) };
    this.#more.disabled = true;
    this.#more.textContent = "Loading…";
    await this.#answered(question, (answer) => {
      const cards = this.#cards(question, answer);
      this.#grid.append(...cards);
      this.#tell(answer);
      cards[0]?.querySelector("button").focus();
    });
  }

  /** @param {Question} question @param {(answer: import("./types.js").Answer) => void} show */
  async #answered(question, show) {
    this.#abort.abort();
    const { signal } = (this.#abort = new AbortController());
    try {
      const answer = await this.#options.api.answer({ ...question, ...COUNTED }, signal);
      if (!signal.aborted) show(answer);
    } catch (error) {
      if (signal.aborted) return;
      this.#fail(error);
    }
  }

  #wait() {
    this.#grid.setAttribute("aria-busy", "true");
    if (this.#message.contains(document.activeElement)) this.#grid.focus();
    this.#message.hidden = true;
    this.#more.hidden = true;
    if (!this.#grid.querySelector("button")) this.#grid.replaceChildren(...Array.from({ length: PAGE }, skeleton));
  }

  /** @param {Question} question @param {import("./types.js").Answer} answer */
  #cards(question, answer) {
    const shown = { query: question.q ?? null, request: answer.request_id };
    return answer.items.map((item) =>
      card(item, {
        onOpen: () => this.#options.onOpen(item, shown),
        onWhy: () => this.#options.onWhy(item, question),
      }),
    );
  }

  /**
   * What has the focus leaves with its card, so the card in its place gets it, or the message where there is none.
   * @param {HTMLElement[]} cards @param {() => void} tell
   */
  #replace(cards, tell) {
    const focused = document.activeElement;
    const hadFocus = this.#grid.contains(focused);
    const place = Math.max(0, [...this.#grid.children].findIndex((card) => card.contains(focused)));
    this.#grid.replaceChildren(...cards);
    tell();
    if (hadFocus) (cards[Math.min(place, cards.length - 1)] ?? this.#message).querySelector("button")?.focus();
  }

  /** @param {import("./types.js").Answer} answer */
  #tell(answer) {
    const count = this.#grid.children.length;
    this.#cursor = answer.next_cursor ?? null;
    this.#grid.removeAttribute("aria-busy");
    this.#more.hidden = this.#cursor === null;
    this.#more.disabled = false;
    this.#more.textContent = "Show more";
    this.#status.textContent = progress(count, this.#cursor !== null, answer, Boolean(this.#question?.sort_by));
    this.#message.hidden = count > 0;
    const { title, hint } = this.#options.empty;
    if (count > 0) return;
    this.#say("search", title, hint);
    if (this.#question?.filter) this.#message.append(element("button", { type: "button", class: "button", onclick: this.#options.onClear }, "Clear filters"));
  }

  /** @param {unknown} error */
  #fail(error) {
    if (!(error instanceof ApiProblem || error instanceof Unreachable)) throw error;
    this.#replace([], () => this.#warn(error));
  }

  /** @param {ApiProblem | Unreachable} error */
  #warn(error) {
    this.#grid.removeAttribute("aria-busy");
    this.#more.hidden = true;
    this.#status.textContent = "";
    this.#say("warning", error.title, error.message);
    this.#message.setAttribute("role", "alert");
    this.#message.append(element("button", { type: "button", class: "button", onclick: () => this.load() }, "Try again"));
    this.#message.hidden = false;
  }

  /** @param {string} image @param {string} title @param {string} hint */
  #say(image, title, hint) {
    this.#message.removeAttribute("role");
    this.#message.replaceChildren(icon(image), element("p", { class: "message-title" }, title), element("p", {}, hint));
  }
}

/**
 * How many items are shown, and of how many where that many can be shown.
 * @param {number} count @param {boolean} more @param {import("./types.js").Answer} answer @param {boolean} sorted
 */
function progress(count, more, { total, total_is: kind }, sorted) {
  const items = count === 1 ? "1 item" : `${countInWords(count)} items`;
  if (!more) return items;
  const isWhole = kind === "allowed" || (kind === "matching" && sorted);
  return isWhole && typeof total === "number" ? `${countInWords(count)} of ${countInWords(total)} items` : `${items}, and more`;
}
