/**
 * Suggestions below the search box while somebody types: searches of others, categories and brands, items. Nothing is shown
 * where the server has none, or cannot answer: the box searches all the same.
 */

import { ApiProblem, Unreachable } from "./api.js";
import { Combobox } from "./combobox.js";
import { byId, element, icon } from "./element.js";
import { picture } from "./picture.js";
import { countInWords, nameOf, priceInWords } from "./words.js";

const PAUSE_MS = 80;
const OF_EACH = 4;

/**
 * @param {object} page
 * @param {ReturnType<typeof import("./store.js").createStore<import("./types.js").State>>} page.store
 * @param {import("./api.js").Api} page.api
 * @param {import("./refinements.js").Refinements} page.refinements
 * @param {import("./item.js").ItemView["open"]} page.onOpen
 */
export function startSuggestions({ store, api, refinements, onOpen }) {
  const [form, input] = ["search", "query"].map(byId);
  const box = new Combobox(input, byId("suggestions"), byId("suggestions-status"), () => ask());
  let asking = new AbortController();
  let timer = 0;

  /** Takes back what was asked, and what is to be. */
  function stop() {
    clearTimeout(timer);
    asking.abort();
  }

  async function ask() {
    stop();
    const { signal } = (asking = new AbortController());
    try {
      const found = await api.suggest({ q: input.value.trimStart(), k: OF_EACH, filter: store.get().filter }, signal);
      if (!signal.aborted && document.activeElement === input) box.show(groupsOf(found), inWords(found));
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ApiProblem || error instanceof Unreachable)) throw error;
      box.close();
    }
  }

  /** @param {string} text */
  function search(text) {
    input.value = text;
    form.requestSubmit();
  }

  /** @param {import("./types.js").Suggestions} found @returns {import("./combobox.js").Group[]} */
  function groupsOf({ queries, categories, items }) {
    return [
      { title: "Searches", options: queries.map((query) => ({ content: queryContent(query), choose: () => search(query.text) })) },
      {
        title: "Categories and brands",
        options: categories.map((one) => ({
          content: valueContent(one),
          choose: () => {
            search("");
            if (!refinements.has(one.column, one.value)) refinements.toggle(one.column, one.value);
          },
        })),
      },
      {
        title: "Items",
        options: items.map(({ start, end, ...item }) => ({
          content: itemContent(item, start, end),
          choose: () => void onOpen(item, { query: null, request: null }), // what was typed may be half a word
        })),
      },
    ];
  }

  input.addEventListener("input", () => {
    stop();
    if (input.value.trim() === "") box.close();
    else timer = setTimeout(ask, PAUSE_MS);
  });
  input.addEventListener("blur", stop);
  input.addEventListener("keydown", (/** @type {KeyboardEvent} */ { key }) => key === "Escape" && stop()); // they would open again after it
  form.addEventListener("submit", () => {
    stop();
    box.close();
  });
}

/** @param {import("./types.js").SuggestedQuery} query */
function queryContent({ text, start }) {
  return [icon("search"), element("span", { class: "suggestion-text" }, ...stressed(text, start, [...text].length))];
}

/** @param {import("./types.js").SuggestedValue} value */
function valueContent({ value, count, start, end }) {
  const number = element("span", { class: "suggestion-note" }, counted(count, "item"));
  return [element("span", { class: "suggestion-text" }, ...stressed(value, start, end)), number];
}

/** @param {import("./types.js").Item} item @param {number} start @param {number} end */
function itemContent(item, start, end) {
  const price = typeof item.price === "number" ? priceInWords(item.price) : "";
  return [
    element("span", { class: "suggestion-picture", "aria-hidden": "true" }, picture(item)),
    element("span", { class: "suggestion-text" }, ...stressed(nameOf(item), start, end)),
    element("span", { class: "suggestion-note" }, price),
  ];
}

/** The text with a part of it stressed. @param {string} text @param {number} start  in code points @param {number} end */
function stressed(text, start, end) {
  const characters = [...text];
  const [before, part, after] = [characters.slice(0, start), characters.slice(start, end), characters.slice(end)];
  return [before.join(""), part.length > 0 ? element("strong", {}, part.join("")) : "", after.join("")];
}

/** For those who hear the page. @param {import("./types.js").Suggestions} found */
function inWords({ queries, categories, items }) {
  const kinds = [counted(queries.length, "search", "searches"), counted(categories.length, "category or brand", "categories and brands"), counted(items.length, "item")];
  const said = kinds.filter((_, place) => [queries, categories, items][place].length > 0).join(", ");
  return `Suggestions: ${said}. Arrow keys go through them.`;
}

/** @param {number} count @param {string} one @param {string} [many] */
const counted = (count, one, many = `${one}s`) => `${countInWords(count)} ${count === 1 ? one : many}`;
