/**
 * Menus of the values of columns, each value with how many items choosing it would give: as the answer that is shown counts
 * them, without what the same column is narrowed to already. They change with every answer; the menu that is open stays.
 */

import { byId, element } from "./element.js";
import { countInWords, columnInWords } from "./words.js";

const MENUS = 6;
/** What makes an answer count. */
export const COUNTED = { facets: "*", max_facet_values: 30, disjunctive_facets: true };

export class Facets {
  #bar = byId("facets");
  #refinements;
  /** @type {Map<string, Menu>} */
  #menus = new Map();

  /** @param {import("./refinements.js").Refinements} refinements */
  constructor(refinements) {
    this.#refinements = refinements;
    document.addEventListener("click", (event) => this.#closeAllBut(/** @type {Node} */ (event.target)));
    this.#bar.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      const menu = /** @type {HTMLElement} */ (event.target).closest("details");
      if (event.key !== "Escape" || !menu?.open) return;
      menu.open = false;
      menu.querySelector("summary")?.focus();
    });
    refinements.watch(() => this.#menus.forEach((menu) => menu.mark()));
  }

  /** @param {import("./types.js").Answer} answer  one that counts nothing changes nothing */
  show({ facetDistribution: counts, facetStats: stats }) {
    if (!counts) return;
    for (const [column, byValue] of Object.entries(counts)) {
      if (!this.#menus.has(column) && this.#menus.size < MENUS && isChoice(byValue, stats?.[column])) this.#add(column);
    }
    for (const [column, menu] of this.#menus) menu.show(counts[column] ?? {});
  }

  /** @param {string} column */
  #add(column) {
    const menu = new Menu(column, this.#refinements);
    this.#menus.set(column, menu);
    this.#bar.append(menu.root);
  }

  /** @param {Node} target */
  #closeAllBut(target) {
    for (const { root } of this.#menus.values()) if (!root.contains(target)) root.open = false;
  }
}

/** Numbers have ranges instead, and what is only true or false is written otherwise in filters. */
function isChoice(/** @type {Record<string, number>} */ byValue, /** @type {unknown} */ stats) {
  const values = Object.keys(byValue);
  return !stats && values.length > 1 && !values.every((value) => value === "true" || value === "false");
}

class Menu {
  #column;
  #refinements;
  #summary;
  #list;

  /** @param {string} column @param {import("./refinements.js").Refinements} refinements */
  constructor(column, refinements) {
    this.#column = column;
    this.#refinements = refinements;
    this.#summary = element("summary", {});
    this.#list = element("ul", { class: "facet-values", role: "list" });
    const legend = element("legend", { class: "visually-hidden" }, columnInWords(column));
    this.root = element("details", { class: "facet", "data-column": column }, this.#summary, element("fieldset", {}, legend, this.#list));
    this.mark();
  }

  /** @param {Record<string, number>} counts  by value, the commonest first */
  show(counts) {
    const focused = this.#list.contains(document.activeElement) ? /** @type {any} */ (document.activeElement).value : null;
    const values = Object.keys(counts);
    const gone = this.#refinements.chosen(this.#column).filter((value) => !(value in counts)); // still there to be taken back
    this.#list.replaceChildren(...[...values, ...gone].map((value) => this.#choice(value, counts[value] ?? 0)));
    this.mark();
    if (focused !== null) this.#boxes.find((box) => box.value === focused)?.focus();
  }

  /** Shows what is chosen. */
  mark() {
    const count = this.#refinements.chosen(this.#column).length;
    this.#summary.textContent = columnInWords(this.#column) + (count > 0 ? ` (${count})` : "");
    this.root.classList.toggle("chosen", count > 0);
    for (const box of this.#boxes) box.checked = this.#refinements.has(this.#column, box.value);
  }

  /** @returns {HTMLInputElement[]} */
  get #boxes() {
    return [...this.#list.querySelectorAll("input")];
  }

  /** @param {string} value @param {number} count */
  #choice(value, count) {
    const box = element("input", { type: "checkbox", value, onchange: () => this.#refinements.toggle(this.#column, value) });
    const number = element("span", { class: "facet-count" }, countInWords(count));
    return element("li", {}, element("label", {}, box, element("span", { class: "facet-value" }, value), number));
  }
}
