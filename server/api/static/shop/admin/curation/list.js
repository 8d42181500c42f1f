/** A list of synonyms or overrides, in pages and searched, with what can be done with each. */

import { ApiProblem, Unreachable } from "../../api.js";
import { element } from "../../element.js";
import { notify } from "../../notice.js";
import { countInWords } from "../../words.js";
import { confirmed } from "../confirm.js";
import { table } from "../table.js";

const PAGE = 20;

/**
 * @param {import("../../api.js").Api} api
 * @param {object} of
 * @param {"synonyms" | "overrides"} of.name  of the route
 * @param {string} of.one  one of them, in words
 * @param {string} of.hint  where a search looks
 * @param {string[]} of.heads  of the columns before the buttons
 * @param {(entry: any) => (Node | string | number)[]} of.cells
 * @param {(entry: any | null) => void} of.edit  null: a new one
 * @param {Record<string, (entry: any) => void>} [of.actions]  further buttons, by what they say
 * @returns {{nodes: Node[], load: () => Promise<void>}}
 */
export function entryList(api, { name, one, hint, heads, cells, edit, actions = {} }) {
  const search = element("input", { type: "search", id: `${name}-search`, autocomplete: "off", placeholder: hint });
  const status = element("p", { id: `${name}-count`, class: "quiet", role: "status" });
  const place = element("div", { id: `${name}-list` });
  const more = element("button", { type: "button", class: "button", id: `${name}-more`, hidden: true, onclick: () => attempt(() => page(false)) }, "Show more");
  /** @type {any[]} */
  let shown = [];
  /** @type {string | null} */
  let cursor = null;

  async function page(/** @type {boolean} */ fresh) {
    const [q, before] = [search.value.trim(), fresh ? 0 : shown.length];
    const parameters = new URLSearchParams({ limit: String(PAGE), ...(q === "" ? {} : { q }), ...(fresh || cursor === null ? {} : { cursor }) });
    const answer = await api.request("GET", `/${name}?${parameters}`);
    if (q !== search.value.trim()) return; // somebody has asked for something else meanwhile
    shown = fresh ? answer[name] : [...shown, ...answer[name]];
    cursor = answer.next_cursor;
    place.replaceChildren(table(`All ${name}`, [...heads, "Change"], shown.map(row), q === "" ? `There are no ${name} yet.` : `No ${one} has “${q}”.`));
    more.hidden = cursor === null;
    status.textContent = `${countInWords(shown.length)} of ${countInWords(answer.total)}${q === "" ? "" : ` with “${q}”`}`;
    if (!fresh) place.querySelectorAll("tbody tr")[before]?.querySelector("button")?.focus();
  }

  /** @param {any} entry */
  function row(entry) {
    const button = (/** @type {string} */ text, /** @type {() => void} */ onclick) =>
      element("button", { type: "button", class: "button", "aria-label": `${text} ${entry.id}`, onclick }, text);
    const further = Object.entries(actions).map(([text, act]) => button(text, () => act(entry)));
    const buttons = [...further, button("Edit", () => edit(entry)), button("Delete", () => remove(entry.id))];
    return [...cells(entry), element("div", { class: "row-actions" }, ...buttons)];
  }

  /** @param {string} id */
  async function remove(id) {
    if (!(await confirmed(`Delete ${id}?`, "It ends in every server within about a second.", "Delete"))) return;
    await attempt(async () => {
      await api.request("DELETE", `/${name}/${encodeURIComponent(id)}`);
      notify(`${id} is deleted.`, "done");
      await page(true);
      search.focus();
    });
  }

  const asked = (/** @type {Event} */ event) => {
    event.preventDefault();
    attempt(() => page(true));
  };
  const form = element(
    "form",
    { class: "list-tools", role: "search", "aria-label": `Search in ${name}`, onsubmit: asked },
    element("label", { class: "visually-hidden", for: search.id }, `Search in ${name}`),
    search,
    element("button", { type: "submit", class: "button" }, "Search"),
    element("button", { type: "button", class: "button primary", id: `${name}-new`, onclick: () => edit(null) }, `New ${one}`),
  );
  search.addEventListener("search", asked); // also when its cross is pressed
  return { nodes: [form, status, place, more], load: () => page(true) };
}

/** Says what went wrong where it was to be expected. @param {() => Promise<void>} work */
async function attempt(work) {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof ApiProblem || error instanceof Unreachable)) throw error;
    notify(`${error.title}: ${error.message}`, "failed");
  }
}
