/** Recommendations on the home page. They follow every click. */

import { byId } from "./element.js";
import { Listing } from "./listing.js";
import { whose } from "./person.js";

const GENERAL = "A first look around. Open what you like, and this shelf follows you.";
const PERSONAL = "Chosen after what you looked at, the latest first.";

/**
 * @param {object} page
 * @param {ReturnType<typeof import("./store.js").createStore<import("./types.js").State>>} page.store
 * @param {import("./api.js").Api} page.api
 * @param {(answer: import("./types.js").Answer) => void} page.onShown
 * @param {() => void} page.onClear
 * @param {import("./item.js").ItemView["open"]} page.onOpen
 * @param {import("./why.js").Why["open"]} page.onWhy
 */
export function startShelf({ store, api, onShown, onClear, onOpen, onWhy }) {
  const listing = new Listing(byId("shelf"), {
    api,
    ask: () => {
      const { person, filter, sort } = store.get();
      return { ...whose(person), filter, sort_by: sort, exclude_seen: true };
    },
    onShown: (answer) => {
      const general = answer.items.every((item) => !item.reason || item.reason.code === "general");
      byId("shelf-intro").textContent = general ? GENERAL : PERSONAL;
      onShown(answer);
    },
    empty: { title: "Nothing to recommend", hint: "The filters leave nothing that you have not seen yet." },
    onClear,
    onOpen,
    onWhy,
  });
  const load = () => listing.load();
  store.watch(["person", "filter", "sort", "visits"], load);
  addEventListener("online", () => listing.hasFailed && load());
  load();
}
