/** What the shop does to the answers of certain queries: pins, hides, filters, boosts, and what is searched instead. */

import { element } from "../../element.js";
import { notify } from "../../notice.js";
import { editor } from "./editor.js";
import { entryList } from "./list.js";
import { overrideForm } from "./override_form.js";
import { preview } from "./preview.js";

/** @param {import("../../api.js").Api} api @returns {Promise<Node[]>} */
export async function showOverrides(api) {
  const form = overrideForm();
  const compared = preview(api);
  const open = editor({
    name: "overrides",
    content: form.content,
    fields: form.fields,
    draft: form.draft,
    write: async ({ id, body }) => {
      const { missing } = await api.request("PUT", `/overrides/${encodeURIComponent(id)}`, { body });
      const unknown = missing.length === 0 ? "" : ` No item has the id ${missing.join(", ")}: what is said of it waits until one has.`;
      notify(`${id} is saved.${unknown}`, "done");
      await list.load();
      compared.show(body);
    },
  });
  const list = entryList(api, {
    name: "overrides",
    one: "override",
    hint: "Name, word of a rule, tag or item",
    heads: ["Name", "For", "Does", "When", "Priority"],
    cells: (entry) => [entry.id, ruleInWords(entry.rule), doneInWords(entry), element("span", { class: "moment" }, whenInWords(entry)), entry.priority],
    edit: (entry) => {
      form.fill(entry);
      open(entry === null ? "New override" : `Override ${entry.id}`);
    },
    actions: { Preview: compared.show },
  });
  await list.load();
  return [element("p", { class: "quiet" }, "What comes first, and what not at all, where a rule meets the query."), ...list.nodes, compared.node];
}

/** @param {any} rule */
function ruleInWords({ query, match, filter_by, tags }) {
  const parts = [
    query === null ? null : match === "exact" ? `the search “${query}”` : `searches with “${query}”`,
    filter_by === null ? null : `the filter ${filter_by}`,
    tags.length === 0 ? null : `the tag ${tags.join(" or ")}`,
  ];
  return parts.filter((part) => part !== null).join(" and ");
}

/** @param {any} entry */
function doneInWords({ includes, excludes, filter_by, boost, replace_query, remove_matched_tokens, stop_processing }) {
  const parts = [
    includes.length === 0 ? null : `${includes.length} pinned`,
    excludes.length === 0 ? null : `${excludes.length} left out`,
    filter_by === null ? null : `only ${filter_by}`,
    ...boost.map((/** @type {any} */ one) => `${one.factor} × ${one.condition}`),
    replace_query === null ? null : `searches “${replace_query}”`,
    remove_matched_tokens ? "without these words" : null,
    stop_processing ? "and no other after it" : null,
  ];
  return parts.filter((part) => part !== null).join(", ");
}

/** @param {any} entry */
function whenInWords({ starts_at, ends_at }) {
  const [now, day] = [Date.now(), (/** @type {string} */ moment) => moment.slice(0, 10)];
  if (ends_at !== null && Date.parse(ends_at) <= now) return `ended ${day(ends_at)}`;
  const until = ends_at === null ? "" : ` until ${day(ends_at)}`;
  return starts_at !== null && Date.parse(starts_at) > now ? `from ${day(starts_at)}${until}` : `now${until}`;
}
