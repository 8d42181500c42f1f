/** The search box: answers as one types, and says what it has read in words beyond how they were typed. */

import { address, writeAddress } from "./address.js";
import { chips } from "./chips.js";
import { byId, element, icon } from "./element.js";
import { Listing } from "./listing.js";
import { whose } from "./person.js";

const PAUSE_MS = 130; // shorter than between two thoughts, longer than between two keys

/**
 * @param {object} page
 * @param {ReturnType<typeof import("./store.js").createStore<import("./types.js").State>>} page.store
 * @param {import("./api.js").Api} page.api
 * @param {() => void} page.onClear
 * @param {import("./item.js").ItemView["open"]} page.onOpen
 * @param {import("./why.js").Why["open"]} page.onWhy
 */
export function startSearch({ store, api, onClear, onOpen, onWhy }) {
  const [form, input, section, note] = ["search", "query", "results", "corrected"].map(byId);
  let taken = { query: "", undo: {} }; // what was taken back of how a query is read
  let timer = 0;

  const listing = new Listing(section, {
    api,
    ask: () => {
      const { query, filter, sort, person } = store.get();
      return { q: query, ...whose(person), filter, sort_by: sort, ...(query === taken.query && taken.undo) };
    },
    onShown: (answer) => {
      const nothing = answer.fit === "none" && answer.items.length > 0 ? [nothingFits(store.get().query)] : [];
      note.replaceChildren(...nothing, ...chips(answer, takeBack));
    },
    empty: { title: "Nothing fits", hint: "Try other words, or fewer filters." },
    onClear,
    onOpen,
    onWhy,
  });

  /** @param {Partial<import("./types.js").Question>} undo  the parameters that take back a part of how a query was read */
  function takeBack(undo) {
    const { query } = store.get();
    taken = { query, undo: { ...(query === taken.query && taken.undo), ...undo } };
    input.focus();
    listing.load();
  }

  function ask() {
    clearTimeout(timer);
    store.set({ query: input.value.trim() });
  }

  function show() {
    const { query } = store.get();
    section.hidden = query === "";
    byId("shelf").hidden = query !== "";
    byId("results-heading").textContent = `Results for “${query}”`;
    note.replaceChildren();
    writeAddress({ q: query });
    if (query === "") listing.cancel();
  }

  const load = () => store.get().query !== "" && listing.load();

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE_MS);
  });
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    ask();
  });
  store.watch(["query"], show);
  store.watch(["query", "filter", "sort", "person"], load);
  addEventListener("online", () => listing.hasFailed && load());

  input.value = address().get("q") ?? "";
  ask();
}

/** @param {string} query */
function nothingFits(query) {
  const said = element("span", {}, element("strong", {}, `Nothing fits “${query}”. `), "Perhaps one of these?");
  return element("span", { class: "nothing" }, icon("search"), said);
}
