/** The answers to a query with and without overrides, beside each other. */

import { ApiProblem, Unreachable } from "../../api.js";
import { element } from "../../element.js";
import { nameOf } from "../../words.js";
import { field, input } from "./fields.js";

const ITEMS = 10;

/**
 * @param {import("../../api.js").Api} api
 * @returns {{node: Node, show: (entry: any) => void}} show: asks for what an override is for
 */
export function preview(api) {
  const query = field("preview-query", "Search", input(), "Empty: what browsers of the shop see.");
  const filter = field("preview-filter", "Filter", input());
  const tags = field("preview-tags", "Tags", input());
  const status = element("p", { id: "preview-status", role: "status" });
  const place = element("div", { id: "preview-answers", class: "beside" });

  async function compare() {
    place.setAttribute("aria-busy", "true");
    const asked = { k: ITEMS, filter: filter.control.value.trim() || undefined, override_tags: tags.control.value.trim() || undefined };
    const text = query.control.value.trim();
    const question = text === "" ? { kind: "browse", ...asked } : { kind: "search", q: text, ...asked };
    try {
      const [without, having] = await answers(api, [{ ...question, enable_overrides: false }, question]);
      const applied = having.overrides ?? [];
      const pinned = new Set(having.pinned ?? []);
      const change = (/** @type {any} */ item, /** @type {number} */ place) => {
        const before = among(without, item);
        const moved = before < 0 ? "new here" : before === place ? "" : `${before > place ? "↑" : "↓"} ${Math.abs(before - place)}`;
        return [pinned.has(item.id) ? "pinned" : "", moved].filter(Boolean).join(", ");
      };
      status.textContent = applied.length === 0 ? "No override applies to this query." : `Applied: ${applied.join(", ")}.`;
      place.replaceChildren(column("Without overrides", without, (item) => (among(having, item) < 0 ? "left out or further down" : "")), column("With overrides", having, change));
    } catch (error) {
      if (!(error instanceof ApiProblem || error instanceof Unreachable)) throw error;
      status.textContent = "";
      place.replaceChildren(element("p", { class: "problem", role: "alert" }, `${error.title}: ${error.message}`));
    } finally {
      place.removeAttribute("aria-busy");
    }
  }

  const ask = (/** @type {Event} */ event) => {
    event.preventDefault();
    compare();
  };
  const form = element(
    "form",
    { id: "preview-form", class: "preview-form", onsubmit: ask },
    ...[query, filter, tags].map(({ node }) => node),
    element("button", { type: "submit", class: "button" }, "Compare"),
  );
  const node = element("section", { id: "preview", "aria-labelledby": "preview-heading" }, element("h3", { id: "preview-heading" }, "Answers with and without overrides"), form, status, place);
  return {
    node,
    show: ({ rule }) => {
      query.control.value = rule.query ?? "";
      filter.control.value = rule.filter_by ?? "";
      tags.control.value = rule.tags[0] ?? "";
      node.scrollIntoView({ block: "nearest" });
      compare();
    },
  };
}

/**
 * Asked as a batch: lines of batches are nobody's visits, so analytics do not count them.
 * @param {import("../../api.js").Api} api
 * @param {object[]} questions
 * @returns {Promise<any[]>}
 */
async function answers(api, questions) {
  const found = [];
  for await (const { index, answer, problem } of api.stream("/batch", questions.map((one) => JSON.stringify(one)).join("\n"))) {
    if (problem) throw new ApiProblem(problem.status, problem);
    found[index] = answer;
  }
  return found;
}

/** @param {any} answer @param {any} item @returns {number} its place; below 0 where it has none */
const among = (answer, item) => answer.items.findIndex((/** @type {any} */ other) => other.id === item.id);

/** @param {string} title @param {any} answer @param {(item: any, place: number) => string} said  of an item */
function column(title, answer, said) {
  const rows = answer.items.map((/** @type {any} */ item, /** @type {number} */ place) => {
    const words = said(item, place);
    return element("li", {}, element("span", { class: "beside-name" }, nameOf(item), " ", element("span", { class: "quiet" }, item.id)), words === "" ? null : element("span", { class: "badge" }, words));
  });
  const list = rows.length === 0 ? element("p", { class: "quiet" }, "Nothing.") : element("ol", { class: "beside-items" }, ...rows);
  return element("div", { class: "beside-column" }, element("h4", {}, title), list);
}
