/**
 * Where refinements are made: categories and a range of prices, built from what items there are, and any expression over
 * their columns. The expression is tried by itself before it is used, so that its mistakes are shown where they were made.
 */

import { ApiProblem, Unreachable } from "./api.js";
import { byId, element } from "./element.js";
import { whose } from "./person.js";
import { priceInWords } from "./words.js";

const CATEGORIES = 20;

export class Filters {
  #page;
  /** @type {Map<string, HTMLButtonElement>} */
  #chips = new Map();
  #applied = ""; // the expression that counts: what is typed beside it may be unfinished
  #low = byId("price-low");
  #high = byId("price-high");

  /**
   * @param {object} page
   * @param {ReturnType<typeof import("./store.js").createStore<import("./types.js").State>>} page.store
   * @param {import("./api.js").Api} page.api
   * @param {import("./refinements.js").Refinements} page.refinements
   * @param {(columns: string[]) => void} page.onNumbers  told which columns hold numbers
   */
  constructor(page) {
    this.#page = page;
    for (const input of [this.#low, this.#high]) input.addEventListener("change", () => this.#price());
    byId("clear-filters").addEventListener("click", this.clear);
    byId("expression-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#try(byId("expression").value.trim());
    });
    page.refinements.watch(() => {
      this.#show();
      page.store.set({ filter: page.refinements.filter });
    });
    this.#show();
  }

  /** Counts all items once, so that there is something to choose from. */
  async survey() {
    const { api, store, onNumbers } = this.#page;
    const wanted = { k: 1, exclude_seen: false, fields: "title", facets: "*", max_facet_values: CATEGORIES };
    const { total, facetDistribution, facetStats } = await api.survey({ ...whose(store.get().person), ...wanted });
    const categories = Object.entries(facetDistribution?.categories ?? {});
    const telling = categories.filter(([, count]) => count < (total ?? 0)); // one that all have chooses nothing
    for (const [category] of telling) this.#offer(category);
    byId("chips").hidden = telling.length === 0;
    const price = facetStats?.price;
    byId("price").hidden = !price;
    if (price) [this.#low.placeholder, this.#high.placeholder] = [price.min, price.max].map(priceInWords);
    onNumbers(Object.keys(facetStats ?? {}));
    this.#show();
  }

  /** Takes all filters away. */
  clear = () => {
    byId("expression-problem").replaceChildren();
    byId("expression").setAttribute("aria-invalid", "false");
    byId("expression").value = "";
    this.#page.refinements.clear();
    byId("query").focus();
  };

  /** @param {string} category */
  #offer(category) {
    const onclick = () => this.#page.refinements.toggle("categories", category);
    const chip = element("button", { type: "button", class: "chip", "aria-pressed": "false", onclick }, category);
    this.#chips.set(category, chip);
    byId("chips").append(element("li", {}, chip));
  }

  /** @param {string} expression */
  async #try(expression) {
    const problem = byId("expression-problem");
    const { api, store, refinements } = this.#page;
    try {
      if (expression) await api.survey({ ...whose(store.get().person), k: 1, filter: expression });
      problem.replaceChildren();
      refinements.set({ expression });
    } catch (error) {
      if (!(error instanceof ApiProblem || error instanceof Unreachable)) throw error;
      problem.replaceChildren(...mistake(expression, error));
    }
    byId("expression").setAttribute("aria-invalid", String(problem.childNodes.length > 0));
  }

  #price() {
    const [low, high] = [this.#low, this.#high].map((input) => input.valueAsNumber);
    const contradiction = low > high ? "The lowest price is above the highest." : "";
    byId("price-problem").textContent = contradiction;
    if (!contradiction) this.#page.refinements.set({ low, high });
  }

  #show() {
    const { refinements } = this.#page;
    for (const [category, chip] of this.#chips) chip.setAttribute("aria-pressed", String(refinements.has("categories", category)));
    byId("price-problem").textContent = "";
    this.#low.value = Number.isNaN(refinements.low) ? "" : refinements.low;
    this.#high.value = Number.isNaN(refinements.high) ? "" : refinements.high;
    if (refinements.expression !== this.#applied) byId("expression").value = this.#applied = refinements.expression;
    byId("clear-filters").hidden = refinements.filter === "";
  }
}

/** The expression with what is wrong in it underlined. @param {string} expression @param {ApiProblem | Unreachable} error */
function mistake(expression, error) {
  const reason = element("p", {}, error.message);
  if (!(error instanceof ApiProblem) || error.position === undefined) return [reason];
  const characters = [...expression]; // the server counts code points
  const end = error.position + Math.max(1, error.length ?? 1);
  const wrong = characters.slice(error.position, end).join("") || " ";
  return [
    element(
      "pre",
      {},
      characters.slice(0, error.position).join(""),
      element("mark", {}, wrong),
      characters.slice(end).join(""),
    ),
    reason,
  ];
}
