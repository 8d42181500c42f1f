/** What the person did, newest first: it is what search and shelf go by. */

import { ApiProblem, Unreachable } from "./api.js";
import { byId, element, icon } from "./element.js";
import { ago, nameOf } from "./words.js";

/** @typedef {import("./types.js").Visit} Visit */

/** @type {Record<string, string>} */
const DEEDS = { view: "viewed", click: "opened", cart: "put into the basket", purchase: "bought", rating: "rated" };

export class History {
  #list = byId("history-list");
  #note = byId("history-note");
  /** @type {Map<string, Visit[]>} by person's id: what was done on this page, for when the server tells nothing */
  #here = new Map();
  #page;
  #loads = 0;

  /**
   * @param {object} page
   * @param {ReturnType<typeof import("./store.js").createStore<import("./types.js").State>>} page.store
   * @param {import("./api.js").Api} page.api
   * @param {(visit: Visit) => void} page.onOpen
   */
  constructor(page) {
    this.#page = page;
    page.store.watch(["person", "visits"], () => this.load());
  }

  /**
   * Sends one event; the shelf and this list change when the server has it.
   * @param {import("./types.js").Item} item
   * @param {string} type
   * @param {import("./types.js").Shown} shown
   */
  async record(item, type, shown) {
    const { store, api } = this.#page;
    const { person, visits } = store.get();
    const visit = { item_id: item.id, title: nameOf(item), query: shown.query, type, timestamp: Date.now() };
    this.#here.set(person.id, [visit, ...(this.#here.get(person.id) ?? [])]);
    await api.record({ user_id: person.id, item_id: item.id, type, query: shown.query, request_id: shown.request });
    store.set({ visits: visits + 1 });
  }

  async load() {
    const { person } = this.#page.store.get();
    const load = (this.#loads += 1);
    try {
      const { events } = await this.#page.api.history(person.id);
      if (load === this.#loads) this.#show(events, "Nothing yet. What you open appears here.");
    } catch (error) {
      if (!(error instanceof ApiProblem || error instanceof Unreachable)) throw error;
      if (load === this.#loads) this.#show(this.#here.get(person.id) ?? [], "Nothing yet on this page.", error);
    }
  }

  /** @param {Visit[]} visits @param {string} nothing @param {Error} [error] */
  #show(visits, nothing, error) {
    this.#note.textContent = error ? `Only what you did on this page. ${error.message}` : visits.length ? "" : nothing;
    this.#list.replaceChildren(...visits.map((visit) => this.#entry(visit)));
  }

  /** @param {Visit} visit */
  #entry(visit) {
    const deed = `${DEEDS[visit.type] ?? visit.type} ${ago(visit.timestamp)}`;
    return element(
      "li",
      { class: "visit" },
      icon(visit.type === "cart" || visit.type === "purchase" ? "basket" : "eye"),
      element("button", { type: "button", class: "visit-open", onclick: () => this.#page.onOpen(visit) }, visit.title ?? visit.item_id),
      element("p", { class: "visit-when" }, visit.query ? `${deed}, after “${visit.query}”` : deed),
    );
  }
}
