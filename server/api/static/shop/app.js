/** Puts the page together: one state, one connection to the server, and the parts that show them. */

import { startActive } from "./active.js";
import { address } from "./address.js";
import { Api, ApiProblem, Unreachable } from "./api.js";
import { Facets } from "./facets.js";
import { Filters } from "./filters.js";
import { History } from "./history.js";
import { ItemView } from "./item.js";
import { keyQuestion } from "./key.js";
import { startKeyboard } from "./keyboard.js";
import { Latency } from "./latency.js";
import { notify, startOffline } from "./notice.js";
import { rememberedPerson, startPerson } from "./person.js";
import { Refinements } from "./refinements.js";
import { startSearch } from "./search.js";
import { startShelf } from "./shelf.js";
import { startSort } from "./sort.js";
import { createStore } from "./store.js";
import { startSuggestions } from "./suggestions.js";
import { startTheme } from "./theme.js";
import { Why } from "./why.js";

const refinements = new Refinements();
/** @type {import("./types.js").State} */
const initial = {
  person: rememberedPerson(),
  query: "",
  filter: refinements.filter,
  sort: address().get("sort") ?? "",
  visits: 0,
};
const store = createStore(initial);
const latency = new Latency();
const facets = new Facets(refinements);
const api = new Api({
  onAnswer: (timing) => {
    latency.add(timing);
    facets.show(timing.answer);
  },
  askForKey: keyQuestion("This server asks for a key"),
});
const filters = new Filters({ store, api, refinements, onNumbers: startSort(store) });
const history = new History({ store, api, onOpen: (visit) => view.openVisit(visit) });
const view = new ItemView(api, history);
const why = new Why(api);

startTheme();
startOffline();
startKeyboard();
startActive(refinements);
startPerson(store, api);

let started = false;

/** What can wait until the first items are there. */
async function afterFirstShelf() {
  if (started) return;
  started = true;
  try {
    await Promise.all([history.load(), filters.survey(), latency.tellVersion(api)]);
  } catch (error) {
    if (!(error instanceof ApiProblem || error instanceof Unreachable)) throw error;
    notify(error.message, "failed");
  }
}

startShelf({ store, api, onShown: afterFirstShelf, onClear: filters.clear, onOpen: view.open, onWhy: why.open });
startSearch({ store, api, onClear: filters.clear, onOpen: view.open, onWhy: why.open });
startSuggestions({ store, api, refinements, onOpen: view.open });
