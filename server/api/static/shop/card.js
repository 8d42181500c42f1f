/** An item in a list: what it is, why it is there, and a way in. */

import { element } from "./element.js";
import { picture } from "./picture.js";
import { nameOf, priceInWords } from "./words.js";

/**
 * @param {import("./types.js").Item} item
 * @param {object} actions
 * @param {() => void} actions.onOpen
 * @param {(() => void)} [actions.onWhy]  without it the card does not offer to explain itself
 */
export function card(item, { onOpen, onWhy }) {
  const kind = [item.categories?.at(-1), item.brand].filter(Boolean).join(" · ");
  return element(
    "li",
    { class: "card", "data-id": item.id },
    element("div", { class: "card-picture" }, picture(item)),
    element("p", { class: "card-kind" }, kind),
    element("h3", { class: "card-title" }, element("button", { type: "button", class: "card-open", onclick: onOpen }, nameOf(item))),
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
