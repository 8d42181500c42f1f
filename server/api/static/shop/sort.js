/** The order of the items: that of relevance, or that of a column of numbers. */

import { writeAddress } from "./address.js";
import { byId, element } from "./element.js";
import { columnInWords } from "./words.js";

const COLUMNS = 4;

/** @param {ReturnType<typeof import("./store.js").createStore<import("./types.js").State>>} store */
export function startSort(store) {
  const menu = byId("sort");
  menu.addEventListener("change", () => {
    writeAddress({ sort: menu.value });
    store.set({ sort: menu.value });
  });
  choose(menu, store.get().sort);

  /** Offers the columns that hold numbers. @param {string[]} columns */
  return (columns) => {
    const priceFirst = [...columns].sort((one, other) => Number(other === "price") - Number(one === "price"));
    for (const column of priceFirst.slice(0, COLUMNS)) {
      offer(menu, `${column}:asc`, `${columnInWords(column)}, lowest first`);
      offer(menu, `${column}:desc`, `${columnInWords(column)}, highest first`);
    }
    choose(menu, store.get().sort);
  };
}

/** @param {HTMLSelectElement} menu @param {string} value @param {string} text */
function offer(menu, value, text) {
  const there = [...menu.options].find((option) => option.value === value);
  if (there) there.textContent = text;
  else menu.append(element("option", { value }, text));
}

/** An order that the address brought may be none of those that are offered. @param {HTMLSelectElement} menu @param {string} value */
function choose(menu, value) {
  if (![...menu.options].some((option) => option.value === value)) offer(menu, value, value);
  menu.value = value;
}
