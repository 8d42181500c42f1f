/** An item in a list: what it is, why it is there, and a way in. */

import { element } from "./element.js";
import { marked } from "./marked.js";
import { picture } from "./picture.js";
import { nameOf, priceInWords } from "./words.js";

/**
 * @param {import("./types.js").Item} item
 * @param {object} actions
 * @param {() => void} actions.onOpen
 * @param {(() => void)} [actions.onWhy]  without it the card does not offer to explain itself
 */
export function card(item, { onOpen, onWhy }) {
  const last = (item.categories?.length ?? 0) - 1;
  const kind = [
    item.categories?.[last] && marked(item.categories[last], item, "categories", last),
    item.brand && marked(item.brand, item, "brand"),
    item.title && item.matched?.some(({ field }) => field === "id") && marked(item.id, item, "id"),
  ].filter((part) => Array.isArray(part));
  const title = marked(nameOf(item), item, item.title ? "title" : "id");
  return element(
    "li",
    { class: "card", "data-id": item.id },
    element("div", { class: "card-picture" }, picture(item)),
    element("p", { class: "card-kind" }, ...kind.flatMap((part, place) => (place > 0 ? [" · ", ...part] : part))),
    element("h3", { class: "card-title" }, element("button", { type: "button", class: "card-open", onclick: onOpen }, ...title)),
    element("p", { class: "card-price" }, typeof item.price === "number" ? priceInWords(item.price) : ""),
    element("p", { class: "card-reason" }, item.reason?.text),
    onWhy &&
      element(
        "button",
        { type: "button", class: "card-why", onclick: onWhy, "aria-label": `Why this? ${nameOf(item)}` },
        "Why this?",
      ),
  );
}

/** What stands where a card will be, of the same size, so that nothing moves when it comes. */
export function skeleton() {
  return element(
    "li",
    { class: "card skeleton", "aria-hidden": "true" },
    element("div", { class: "card-picture" }),
    ...["card-kind", "card-title", "card-price", "card-reason"].map((part) => element("p", { class: part }, element("span"))),
  );
}
