/** Tables and the words in their cells. */

import { element } from "../element.js";
import { percent } from "../words.js";

/** @typedef {{rate: number | null, low: number | null, high: number | null}} Rate */

/**
 * The first cell of a row is its heading.
 * @param {string} caption  what the table is about, for those who hear it
 * @param {string[]} heads
 * @param {(Node | string | number | null)[][]} rows
 * @param {string} [nothing]  what is said where there are no rows
 */
export function table(caption, heads, rows, nothing = "Nothing yet.") {
  if (rows.length === 0) return element("p", { class: "quiet" }, nothing);
  const head = element("tr", {}, ...heads.map((name) => element("th", { scope: "col" }, name)));
  const body = rows.map(([first, ...rest]) =>
    element("tr", {}, element("th", { scope: "row" }, cell(first)), ...rest.map((value) => element("td", {}, cell(value)))),
  );
  const inner = element("table", {}, element("caption", {}, caption), element("thead", {}, head), element("tbody", {}, ...body));
  return element("div", { class: "table-place", role: "group", "aria-label": caption, tabindex: 0 }, inner);
}

/** @param {Node | string | number | null} value */
const cell = (value) => (typeof value === "number" ? String(value) : value);

/** A share with its interval. @param {Rate} rate */
export function rateInWords({ rate, low, high }) {
  return rate === null || low === null || high === null ? "–" : `${percent(rate)} (${percent(low)} to ${percent(high)})`;
}

/** @param {number} timestamp  Unix milliseconds */
export const moment = (timestamp) => new Date(timestamp).toISOString().replace("T", " ").slice(0, 19);

/** @param {number | null} value @param {number} digits */
export const rounded = (value, digits) => (value === null ? "–" : value.toFixed(digits));
