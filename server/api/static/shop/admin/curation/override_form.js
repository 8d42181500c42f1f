/** The fields of an override, and the override that is written in them. */

import { element } from "../../element.js";
import { area, field, input, linesOf } from "./fields.js";

const PIN = /^(\d+)[\s:]+(\S.*)$/;
const BOOST = /^(\d*\.?\d+)\s*[×x*:\s]\s*(\S.*)$/;

export function overrideForm() {
  const match = select([["contains", "They stand in the search"], ["exact", "They are the whole search"]]);
  const moment = () => input({ type: "datetime-local", step: 1 });
  const id = field("overrides-id", "Name", input(), "For you alone; 1 to 256 characters.");
  const query = field("overrides-query", "Words of the search", input());
  const matched = field("overrides-match", "How they match", match);
  const filter = field("overrides-rule-filter", "The query’s filter is", input(), "An expression, as in category = \"Tents\".");
  const tags = field("overrides-tags", "One of the tags", input(), "Of override_tags, with commas.");
  const pins = field("overrides-pins", "Pinned items, one a line", area(3), "The place and the id, as in 1 CAM-0011.");
  const hidden = field("overrides-hidden", "Items that are left out, one id a line", area(3));
  const only = field("overrides-filter", "Only items that meet", input(), "An expression, as in price < 100.");
  const boosts = field("overrides-boosts", "Boosts, one a line", area(3), "The factor and which items, as in 2 brand = \"Norvik\". Below 1 they come later. Up to three.");
  const replacing = field("overrides-replace", "Search for this instead", input(), "It is searched in the place of what was typed; * for all items.");
  const removing = field("overrides-remove", "The words of the search", select([["", "Are searched"], ["remove", "Are not searched"]]), "The rest of what was typed is.");
  const stopping = field("overrides-stop", "Overrides after this one", select([["", "Apply too"], ["stop", "Do not apply"]]));
  const priority = field("overrides-priority", "Priority", input({ type: "number", min: -1000, max: 1000, step: 1 }), "The greatest applies first.");
  const starts = field("overrides-starts", "Begins (UTC)", moment());
  const ends = field("overrides-ends", "Ends (UTC)", moment());
  const rule = element("p", { id: "overrides-rule-problem", class: "problem" });
  const fields = new Map(
    Object.entries({
      id,
      "rule.query": query,
      "rule.match": matched,
      "rule.filter_by": filter,
      "rule.tags": tags,
      rule: { node: rule, control: query.control, fail: (/** @type {string} */ message) => (rule.textContent = message), clear: () => (rule.textContent = "") },
      includes: pins,
      excludes: hidden,
      filter_by: only,
      boost: boosts,
      replace_query: replacing,
      remove_matched_tokens: removing,
      stop_processing: stopping,
      priority,
      starts_at: starts,
      ends_at: ends,
    }),
  );
  /** @type {any} */
  let before = null;

  /** @param {any | null} entry  null: empties all */
  function fill(entry) {
    before = entry;
    id.control.value = entry?.id ?? "";
    id.control.readOnly = entry !== null;
    query.control.value = entry?.rule.query ?? "";
    match.value = entry?.rule.match ?? "contains";
    filter.control.value = entry?.rule.filter_by ?? "";
    tags.control.value = entry?.rule.tags.join(", ") ?? "";
    pins.control.value = entry?.includes.map((/** @type {any} */ pin) => `${pin.position} ${pin.id}`).join("\n") ?? "";
    hidden.control.value = entry?.excludes.map((/** @type {any} */ one) => one.id).join("\n") ?? "";
    only.control.value = entry?.filter_by ?? "";
    boosts.control.value = entry?.boost.map((/** @type {any} */ one) => `${one.factor} ${one.condition}`).join("\n") ?? "";
    replacing.control.value = entry?.replace_query ?? "";
    removing.control.value = entry?.remove_matched_tokens ? "remove" : "";
    stopping.control.value = entry?.stop_processing ? "stop" : "";
    priority.control.value = entry?.priority ?? 0;
    starts.control.value = entry?.starts_at?.slice(0, 19) ?? "";
    ends.control.value = entry?.ends_at?.slice(0, 19) ?? "";
  }

  function draft() {
    const problems = id.control.value.trim() === "" ? [{ field: "id", message: "Give it a name." }] : [];
    /** @param {import("./fields.js").Field} from @param {string} name @param {RegExp} form @param {string} hint */
    const pairs = (from, name, form, hint) =>
      linesOf(from.control.value).flatMap(({ text }, place) => {
        const [, number, rest] = form.exec(text) ?? [];
        if (number === undefined) problems.push({ field: `${name}.${place}`, message: hint });
        return number === undefined ? [] : [{ number: Number(number), rest }];
      });
    const includes = pairs(pins, "includes", PIN, "has no place and id: write 1 CAM-0011.").map(({ number, rest }) => ({ id: rest, position: number }));
    const boost = pairs(boosts, "boost", BOOST, "has no factor and filter: write 2 price < 100.").map(({ number, rest }) => ({ condition: rest, factor: number }));
    const excludes = linesOf(hidden.control.value).map(({ text }) => ({ id: text }));
    const body = {
      rule: {
        query: given(query),
        match: match.value,
        filter_by: given(filter),
        tags: tags.control.value.split(",").map((/** @type {string} */ tag) => tag.trim()).filter(Boolean),
      },
      ...{ includes, excludes, filter_by: given(only), boost },
      replace_query: given(replacing),
      remove_matched_tokens: removing.control.value !== "",
      stop_processing: stopping.control.value !== "",
      priority: Number(priority.control.value || 0),
      starts_at: momentOf(starts, before?.starts_at),
      ends_at: momentOf(ends, before?.ends_at),
    };
    return { id: id.control.value.trim(), body, warning: broad(body.rule), problems };
  }

  const group = (/** @type {string} */ legend, /** @type {Node[]} */ ...nodes) => element("fieldset", { class: "fields" }, element("legend", {}, legend), ...nodes);
  const pair = (/** @type {Node[]} */ ...nodes) => element("div", { class: "field-pair" }, ...nodes);
  const content = [
    id.node,
    group("For queries in which all of this holds", rule, pair(query.node, matched.node), pair(filter.node, tags.node)),
    group("What happens", pins.node, hidden.node, only.node, boosts.node, pair(replacing.node, removing.node)),
    group("When", pair(starts.node, ends.node), pair(priority.node, stopping.node)),
  ];
  return { content, fields, fill, draft };
}

/** @param {[string, string][]} options */
const select = (options) => element("select", {}, ...options.map(([value, text]) => element("option", { value }, text)));

/** @param {import("./fields.js").Field} from */
const given = ({ control }) => control.value.trim() || null;

/** Milliseconds, which the field does not show, stay where nobody has changed it. @param {import("./fields.js").Field} from @param {string | null} [before] */
function momentOf({ control }, before) {
  if (control.value === "") return null;
  const whole = control.value.length === 16 ? `${control.value}:00` : control.value; // browsers leave out seconds that are 0
  return before?.slice(0, 19) === whole ? before : `${whole}Z`;
}

/** Why a rule might be for more than is wanted. @param {{query: string | null, match: string, filter_by: string | null, tags: string[]}} rule */
function broad({ query, match, filter_by, tags }) {
  if (query !== null) {
    const short = match === "contains" && [...query.trim()].length <= 2;
    return short ? `It is for every search that has the word “${query.trim()}”.` : null;
  }
  if (tags.length > 0) return `It is for every query with the tag ${tags.join(" or ")}, whatever it asks for: searches, recommendations and all other lists.`;
  return filter_by === null ? null : `It is for every query with the filter ${filter_by}, whatever it asks for: searches, recommendations and all other lists.`;
}
