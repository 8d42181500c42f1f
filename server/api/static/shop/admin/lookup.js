/** Look-up of an item and of a user: what is known of them, what the user is recommended, and why. */

import { ApiProblem, Unreachable } from "../api.js";
import { element } from "../element.js";
import { explained } from "../why.js";
import { nameOf } from "../words.js";
import { facts } from "./section.js";
import { moment, table } from "./table.js";

const RECOMMENDED = 10;

/** @param {import("../api.js").Api} api @returns {Promise<Node[]>} */
export async function showLookup(api) {
  return [form("item", "Id of an item", (id) => itemOf(api, id)), form("user", "Id of a user or a session", (id) => userOf(api, id))];
}

/**
 * @param {string} kind
 * @param {string} label
 * @param {(id: string) => Promise<Node[]>} find
 */
function form(kind, label, find) {
  const input = element("input", { id: `lookup-${kind}`, autocomplete: "off", required: true });
  const found = element("div", { id: `lookup-${kind}-found`, "aria-live": "polite" });
  const look = async (/** @type {Event} */ event) => {
    event.preventDefault();
    found.replaceChildren(...(await find(input.value.trim()).catch(told)));
  };
  return element(
    "div",
    {},
    element(
      "form",
      { class: "stack", onsubmit: look },
      element("label", { for: `lookup-${kind}` }, label),
      element("div", { class: "joined" }, input, element("button", { type: "submit", class: "button" }, "Look up")),
    ),
    found,
  );
}

/** What to show of an error that was to be expected; others go on. @param {unknown} error */
function told(error) {
  if (!(error instanceof ApiProblem || error instanceof Unreachable)) throw error;
  return [element("p", { class: "problem", role: "alert" }, `${error.title}: ${error.message}`)];
}

/** @param {import("../api.js").Api} api @param {string} id */
async function itemOf(api, id) {
  const item = await api.item(id);
  const columns = Object.entries(item).filter(([, value]) => value !== null && value !== "");
  return [facts(columns.map(([name, value]) => [name.replaceAll("_", " "), Array.isArray(value) ? value.join(", ") : String(value)]))];
}

/** @param {import("../api.js").Api} api @param {string} user */
async function userOf(api, user) {
  const [{ events }, answer] = await Promise.all([api.history(user), recommended(api, user, { k: RECOMMENDED })]);
  const why = element("div", { id: "lookup-why", "aria-live": "polite" });
  const ask = (/** @type {import("../types.js").Item} */ item) => async () => {
    const nodes = await recommended(api, user, { k: 1, candidates: [item.id], exclude_seen: false, explain: true }).then(
      ({ items }) => [element("h3", {}, `Why ${nameOf(item)}?`), ...explained(items[0])],
      told,
    );
    why.replaceChildren(...nodes);
  };
  const items = answer.items.map((/** @type {import("../types.js").Item} */ item) => [
    nameOf(item),
    item.id,
    item.reason?.text ?? "",
    element("button", { type: "button", class: "button", "aria-label": `Why ${nameOf(item)}?`, onclick: ask(item) }, "Why?"),
  ]);
  const past = events.map((event) => [moment(event.timestamp), event.type, event.title ?? event.item_id, event.query ?? ""]);
  return [
    element("h3", {}, "History, newest first"),
    table(`History of ${user}`, ["When (UTC)", "What", "Item", "After the search"], past, "Nothing is known of them."),
    element("h3", {}, "What they are recommended"),
    table(`Recommendations for ${user}`, ["Item", "Id", "Reason", "More"], items, "Nothing."),
    why,
  ];
}

/**
 * Asked as a batch: lines of batches are nobody's visits, so analytics do not count them.
 * @param {import("../api.js").Api} api
 * @param {string} user
 * @param {Record<string, unknown>} parameters
 * @returns {Promise<import("../types.js").Answer>}
 */
async function recommended(api, user, parameters) {
  const { answer, problem } = await api.request("POST", "/batch", { body: [{ kind: "recommend", user, ...parameters }] });
  if (problem) throw new ApiProblem(problem.status, problem);
  return answer;
}
