/** What the items are narrowed to, each part as a chip that takes it back. */

import { byId, element } from "./element.js";
import { columnInWords, priceRangeInWords } from "./words.js";

/** @param {import("./refinements.js").Refinements} refinements */
export function startActive(refinements) {
  const list = byId("active");

  /** @returns {[string, () => void][]} */
  function parts() {
    const { low, high, expression } = refinements;
    const [min, max] = [low, high].map((price) => (Number.isNaN(price) ? null : price));
    return [
      ...refinements.pairs.map(([column, value]) => /** @type {[string, () => void]} */ ([
        `${columnInWords(column)}: ${value}`,
        () => refinements.toggle(column, value),
      ])),
      ...(min === null && max === null ? [] : [/** @type {[string, () => void]} */ ([priceRangeInWords({ min, max }), () => refinements.set({ low: NaN, high: NaN })])]),
      ...(expression ? [/** @type {[string, () => void]} */ ([expression, () => refinements.set({ expression: "" })])] : []),
    ];
  }

  function show() {
    const chips = parts().map(([text, remove], place) => {
      const onclick = () => {
        remove();
        (list.querySelectorAll("button")[Math.max(0, place - 1)] ?? byId("query")).focus(); // this one is gone
      };
      return element("li", {}, element("button", { type: "button", class: "active-chip", onclick, "aria-label": `Remove ${text}` }, `${text} ×`));
    });
    list.replaceChildren(...chips);
    list.hidden = chips.length === 0;
  }

  refinements.watch(show);
  show();
}
