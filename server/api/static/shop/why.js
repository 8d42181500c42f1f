/** Why an item is where it is: the reason in a sentence, and how the model came to write its identifier. */

import { ApiProblem, Unreachable } from "./api.js";
import { dialog } from "./dialog.js";
import { byId, element } from "./element.js";
import { nameOf, percent } from "./words.js";

/** @type {Record<string, string>} */
const SOURCES = {
  model: "The model",
  words: "Your words",
  clicks: "After such searches",
  neighbours: "Taken together",
  transitions: "Taken next",
  taste: "Your taste",
  popularity: "Popularity",
};
const HARDLY = 0.05; // a twentieth of a nat: five percent more or less likely

export class Why {
  #box = dialog("why-dialog");
  #api;
  #asked = 0;

  /** @param {import("./api.js").Api} api */
  constructor(api) {
    this.#api = api;
  }

  /**
   * Asks the same question again for this item alone, with an explanation: lists need none while one types.
   * @param {import("./types.js").Item} item
   * @param {import("./types.js").Question} question
   */
  open = async (item, question) => {
    const asked = (this.#asked += 1);
    byId("why-item").textContent = nameOf(item);
    byId("why-reason").textContent = item.reason?.text ?? "";
    const body = byId("why-body");
    body.replaceChildren(element("p", { class: "quiet" }, "Asking the model…"));
    this.#box.showModal();
    try {
      const parts = { ...question, cursor: undefined, filter: undefined, sort_by: undefined, k: 1, candidates: item.id, exclude_seen: false, explain: true };
      const answer = await this.#api.answer(parts);
      if (asked === this.#asked) body.replaceChildren(...explained(answer.items[0]));
    } catch (error) {
      if (!(error instanceof ApiProblem || error instanceof Unreachable)) throw error;
      if (asked === this.#asked) body.replaceChildren(element("p", { role: "alert" }, error.message));
    }
  };
}

/** @param {import("./types.js").Item | undefined} item */
export function explained(item) {
  if (!item?.explanation) return [element("p", {}, "This item has left the catalog since.")];
  const { levels, history_effect: effect, shares } = item.explanation;
  return [
    ...likelihoodOf(item.relevance),
    element("h3", {}, "What made its score"),
    element("p", { class: "quiet" }, "The model’s share is how likely it found the item, below zero; what else speaks for the item is added."),
    element("ul", { class: "levels", role: "list" }, ...sharesOf(shares)),
    element("h3", {}, "How the model wrote it"),
    element(
      "p",
      { class: "quiet" },
      "It writes an item as a short path of codes. Beside each is how likely it found that code at that step.",
    ),
    element("ol", { class: "levels" }, ...levels.map(level)),
    element("h3", {}, "What your history did"),
    element("p", {}, effectInWords(effect)),
  ];
}

/** Nothing where the model has not learned it. @param {number | null | undefined} relevance */
function likelihoodOf(relevance) {
  if (typeof relevance !== "number") return [];
  const words = `${percent(relevance)} of items like it, for questions like this one, were what people took.`;
  return [element("h3", {}, "How likely it is the right one"), element("p", { "data-relevance": relevance }, words)];
}

/** @param {Record<string, number>} shares  by source */
function sharesOf(shares) {
  const most = Math.max(...Object.values(shares).map(Math.abs));
  const greatestFirst = Object.entries(shares).toSorted(([, one], [, other]) => other - one);
  return greatestFirst.map(([source, share]) => {
    const fill = element("span", { class: share < 0 ? "bar-fill below" : "bar-fill" });
    fill.style.width = `${most > 0 ? (Math.abs(share) / most) * 100 : 0}%`;
    return element(
      "li",
      { class: "share", "data-source": source },
      element("span", {}, SOURCES[source] ?? source),
      element("span", { class: "bar", "aria-hidden": "true" }, fill),
      element("span", { class: "share-value" }, share.toFixed(2)),
    );
  });
}

/** @param {import("./types.js").Level} level */
function level({ code, probability }) {
  const fill = element("span", { class: "bar-fill" });
  fill.style.width = `${probability * 100}%`; // through the object model: style attributes are not allowed here
  return element(
    "li",
    { class: "level" },
    element("code", {}, code),
    element("span", { class: "bar", "aria-hidden": "true" }, fill),
    element("span", { class: "level-share" }, percent(probability)),
  );
}

/** @param {number | null} effect  the score's change, in nats */
function effectInWords(effect) {
  if (effect === null) return "You have none yet, so it played no part.";
  if (Math.abs(effect) < HARDLY) return "Hardly anything: the item would stand about where it does without it.";
  const times = Math.exp(Math.abs(effect));
  const factor = times >= 10 ? Math.round(times).toString() : times.toFixed(1);
  return `It made this item ${factor} times as ${effect > 0 ? "likely" : "unlikely"} as it would be without.`;
}
