/** One item in full, with others like it. To open it is a click that the server learns of. */

import { ApiProblem, Unreachable } from "./api.js";
import { card, skeleton } from "./card.js";
import { dialog } from "./dialog.js";
import { byId, element, icon } from "./element.js";
import { notify } from "./notice.js";
import { picture } from "./picture.js";
import { nameOf, priceInWords } from "./words.js";

const SIMILAR = 6;
const NOT_LISTED = new Set([
  ...["id", "title", "description", "brand", "categories", "price", "available"], // shown otherwise, or not at all
  ...["score", "relevance", "reason", "explanation"], // of an answer, not of the item
]);

/** @typedef {import("./types.js").Item} Item */

export class ItemView {
  #box = dialog("item-dialog");
  #body = byId("item-body");
  #api;
  #history;
  #opened = 0;

  /** @param {import("./api.js").Api} api @param {import("./history.js").History} history */
  constructor(api, history) {
    this.#api = api;
    this.#history = history;
  }

  /**
   * @param {Item} item
   * @param {import("./types.js").Shown} shown
   */
  open = async (item, shown) => {
    const opened = (this.#opened += 1);
    const similar = element("ul", { class: "strip", role: "list", "aria-busy": "true" }, ...Array.from({ length: 3 }, skeleton));
    this.#body.replaceChildren(...this.#parts(item, shown, similar));
    this.#body.scrollTop = 0;
    if (!this.#box.open) this.#box.showModal();
    byId("item-heading").focus();
    await Promise.all([this.#record(item, "click", shown), this.#fill(similar, item, () => opened === this.#opened)]);
  };

  /** From a history, which knows little of an item. @param {import("./types.js").Visit} visit */
  openVisit = async (visit) => {
    try {
      await this.open(await this.#api.item(visit.item_id), { query: null, request: null });
    } catch (error) {
      notify(reasonOf(error), "failed");
    }
  };

  /** @param {Item} item @param {import("./types.js").Shown} shown @param {Element} similar */
  #parts(item, shown, similar) {
    const kind = [...(item.categories ?? []), item.brand].filter(Boolean).join(" · ");
    const basket = async () => {
      if (await this.#record(item, "cart", shown)) notify(`${nameOf(item)} is in your basket`, "done");
    };
    return [
      element("div", { class: "item-picture" }, picture(item)),
      element("p", { class: "card-kind" }, kind),
      element("h2", { id: "item-heading", tabindex: -1 }, nameOf(item)),
      element(
        "div",
        { class: "item-buy" },
        element("p", { class: "item-price" }, typeof item.price === "number" ? priceInWords(item.price) : ""),
        element("button", { type: "button", class: "button primary", onclick: basket }, icon("basket"), "Put into basket"),
      ),
      item.description ? element("p", { class: "item-description" }, item.description) : null,
      element("dl", { class: "facts" }, ...Object.entries(item).filter(isFact).flatMap(fact)),
      element("h3", {}, "Similar items"),
      similar,
    ].filter((part) => part !== null);
  }

  /** Whether the server has it. @param {Item} item @param {string} type @param {import("./types.js").Shown} shown */
  async #record(item, type, shown) {
    try {
      await this.#history.record(item, type, shown);
      return true;
    } catch (error) {
      notify(`This was not recorded: ${reasonOf(error)}`, "failed");
      return false;
    }
  }

  /** @param {HTMLElement} list @param {Item} item @param {() => boolean} isWanted */
  async #fill(list, item, isWanted) {
    try {
      const answer = await this.#api.similar(item.id, SIMILAR);
      if (!isWanted()) return;
      const shown = { query: null, request: answer.request_id };
      list.replaceChildren(...answer.items.map((other) => card(other, { onOpen: () => this.open(other, shown) })));
    } catch (error) {
      const reason = reasonOf(error);
      if (isWanted()) list.replaceChildren(element("li", { class: "quiet", role: "alert" }, reason));
    }
    list.removeAttribute("aria-busy");
  }
}

/** What to tell of an error that was to be expected; others go on. @param {unknown} error */
function reasonOf(error) {
  if (error instanceof ApiProblem || error instanceof Unreachable) return error.message;
  throw error;
}

/** @param {[string, unknown]} column */
const isFact = ([name, value]) => !NOT_LISTED.has(name) && value !== null && value !== "";

/** @param {[string, unknown]} column */
const fact = ([name, value]) => [
  element("dt", {}, name.replaceAll("_", " ")),
  element("dd", {}, Array.isArray(value) ? value.join(", ") : String(value)),
];
