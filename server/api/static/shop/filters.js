/**
 * Which items may come: categories and a range of prices, built from what items there are, and any expression over their
 * columns. The expression is tried by itself before it is used, so that its mistakes are shown where they were made.
 */

import { ApiProblem, Unreachable } from "./api.js";
import { byId, element } from "./element.js";
import { whose } from "./person.js";
import { priceInWords } from "./words.js";

const SURVEYED = 200; // the most that one request may ask for

export class Filters {
  #page;
  /** @type {Map<string, HTMLButtonElement>} */
  #chips = new Map();
  /** @type {Set<string>} */
  #chosen = new Set();
  #expression = "";
  #low = byId("price-low");
  #high = byId("price-high");

  /**
   * @param {object} page
   * @param {ReturnType<typeof import("./store.js").createStore<import("./types.js").State>>} page.store
   * @param {import("./api.js").Api} page.api
   */
  constructor(page) {
    this.#page = page;
    for (const input of [this.#low, this.#high]) input.addEventListener("change", () => this.#apply());
    byId("clear-filters").addEventListener("click", () => this.#clear());
    byId("expression-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#try(byId("expression").value.trim());
    });
  }

  /** Looks at many items once, so that there is something to choose from. */
  async survey() {
    const { api, store } = this.#page;
    const answer = await api.survey({ ...whose(store.get().person), k: SURVEYED, exclude_seen: false, fields: "categories,price" });
    const counts = new Map();
    for (const item of answer.items) {
      for (const category of item.categories ?? []) counts.set(category, (counts.get(category) ?? 0) + 1);
    }
    const telling = [...counts].filter(([, count]) => count < answer.items.length); // one that all have chooses nothing
    telling.sort((left, right) => right[1] - left[1]);
    for (const [category] of telling) this.#offer(category);
    byId("chips").hidden = telling.length === 0;
    const prices = answer.items.map((item) => item.price).filter((price) => typeof price === "number");
    byId("price").hidden = prices.length === 0;
    this.#low.placeholder = priceInWords(Math.min(...prices));
    this.#high.placeholder = priceInWords(Math.max(...prices));
  }

  /** @param {string} category */
  #offer(category) {
    const toggle = () => {
      if (!this.#chosen.delete(category)) this.#chosen.add(category);
      this.#apply();
    };
    const chip = element("button", { type: "button", class: "chip", "aria-pressed": "false", onclick: toggle }, category);
    this.#chips.set(category, chip);
    byId("chips").append(element("li", {}, chip));
  }

  #clear() {
    this.#chosen.clear();
    this.#expression = byId("expression").value = this.#low.value = this.#high.value = "";
    byId("expression-problem").replaceChildren();
    this.#apply();
    byId("query").focus();
  }

  /** @param {string} expression */
  async #try(expression) {
    const problem = byId("expression-problem");
    const { api, store } = this.#page;
    try {
      if (expression) await api.survey({ ...whose(store.get().person), k: 1, filter: expression });
      problem.replaceChildren();
      this.#expression = expression;
      this.#apply();
    } catch (error) {
      if (!(error instanceof ApiProblem || error instanceof Unreachable)) throw error;
      problem.replaceChildren(...mistake(expression, error));
    }
    byId("expression").setAttribute("aria-invalid", String(problem.childNodes.length > 0));
  }

  #apply() {
    const [low, high] = [this.#low, this.#high].map((input) => input.valueAsNumber);
    const contradiction = low > high ? "The lowest price is above the highest." : "";
    byId("price-problem").textContent = contradiction;
    if (contradiction) return;
    for (const [category, chip] of this.#chips) chip.setAttribute("aria-pressed", String(this.#chosen.has(category)));
    const filter = [
      this.#chosen.size > 0 && `categories in (${[...this.#chosen].map(quoted).join(", ")})`,
      !Number.isNaN(low) && `price >= ${low}`,
      !Number.isNaN(high) && `price <= ${high}`,
      this.#expression && `(${this.#expression})`,
    ];
    const text = filter.filter(Boolean).join(" and ");
    byId("clear-filters").hidden = text === "";
    this.#page.store.set({ filter: text });
  }
}

/** As the filters' grammar writes text. @param {string} text */
const quoted = (text) => `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;

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
