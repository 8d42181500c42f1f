/** Texts of items with the words of a search marked in them, which the server has found. */

import { element } from "./element.js";

/**
 * The text as nodes, in which what matches is marked. It stays text: nothing in it becomes markup.
 * @param {string} text
 * @param {import("./types.js").Item} item  what the server says of it
 * @param {string} field  which of its texts this is
 * @param {number | null} [index]  of several texts, which one
 * @returns {(string | HTMLElement)[]}
 */
export function marked(text, item, field, index = null) {
  const places = (item.matched ?? []).filter((match) => match.field === field && (match.index ?? null) === index);
  if (places.length === 0) return [text];
  const characters = [...text]; // the server counts code points
  const nodes = [];
  let done = 0;
  for (const { start, end } of places.toSorted((left, right) => left.start - right.start)) {
    if (start < done || end > characters.length) continue;
    nodes.push(characters.slice(done, start).join(""), element("mark", {}, characters.slice(start, end).join("")));
    done = end;
  }
  return [...nodes, characters.slice(done).join("")].filter((node) => node !== "");
}
