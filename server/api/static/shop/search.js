/** The search box: answers as one types, and says when it has read words differently from how they were typed. */

import { byId, element } from "./element.js";
import { Listing } from "./listing.js";
import { whose } from "./person.js";
import { priceRangeInWords } from "./words.js";

const PAUSE_MS = 130; // shorter than between two thoughts, longer than between two keys

/**
 * @param {object} page
 * @param {ReturnType<typeof import("./store.js").createStore<import("./types.js").State>>} page.store
 * @param {import("./api.js").Api} page.api
 * @param {import("./item.js").ItemView["open"]} page.onOpen
 * @param {import("./why.js").Why["open"]} page.onWhy
 */
export function startSearch({ store, api, onOpen, onWhy }) {
  const [form, input, section, note] = ["search", "query", "results", "corrected"].map(byId);
  let literal = ""; // a query whose words are to be taken as they stand
  let unfiltered = ""; // a query in which no prices are to be read
  let timer = 0;

  const listing = new Listing(section, {
    api,
    ask: () => {
      const { query, filter, person } = store.get();
      return { q: query, ...whose(person), filter, ...(query === literal && { correct: false }), ...(query === unfiltered && { understand: false }) };
    },
    onShown: (answer) => {
      const nothing = answer.fit === "none" && answer.items.length > 0 ? ["Nothing fits. Perhaps one of these? "] : [];
      const read = [...correction(answer.corrected_query ?? null), ...understanding(answer.understood ?? null)];
      note.replaceChildren(...nothing, ...read);
    },
    empty: { title: "Nothing fits", hint: "Try other words, or fewer filters." },
    onOpen,
    onWhy,
  });

  /** @param {string | null} corrected */
  function correction(corrected) {
    const typed = store.get().query;
    if (corrected === null) return [];
    const insist = element("button", { type: "button", class: "link", onclick: takeLiterally }, `Search for “${typed}” instead`);
    return ["Showing results for ", element("strong", {}, corrected), ". ", insist];
  }

  /** @param {import("./types.js").Understanding | null} understood */
  function understanding(understood) {
    if (understood === null) return [];
    const range = priceRangeInWords(understood.price);
    const attributes = { type: "button", class: "chip", "aria-label": `Remove: ${range}`, onclick: takeAnyPrice };
    return [element("button", attributes, `${range} ×`)];
  }

  function takeAnyPrice() {
    unfiltered = store.get().query;
    input.focus();
    listing.load();
  }

  function takeLiterally() {
    literal = store.get().query;
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
    history.replaceState(null, "", query === "" ? "/" : `/?${new URLSearchParams({ q: query })}`);
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
  store.watch(["query", "filter", "person"], load);
  addEventListener("online", () => listing.hasFailed && load());

  input.value = new URLSearchParams(location.search).get("q") ?? "";
  ask();
}
