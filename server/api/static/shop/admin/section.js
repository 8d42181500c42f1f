/** Fills a section with what the server says, or with why it cannot. */

import { ApiProblem, Unreachable } from "../api.js";
import { element } from "../element.js";

/** @type {WeakMap<HTMLElement, symbol>} the last time each place was asked to be filled */
const filling = new WeakMap();

/**
 * Fills it once more whenever it is asked again: an older answer that comes late does not take the place of a newer one.
 * @param {HTMLElement} place
 * @param {import("../api.js").Api} api
 * @param {(api: import("../api.js").Api, again: () => Promise<void>) => Promise<Node[]>} content
 * @returns {Promise<void>}
 */
export async function fill(place, api, content) {
  const again = () => fill(place, api, content);
  const time = Symbol();
  filling.set(place, time);
  place.setAttribute("aria-busy", "true");
  try {
    const nodes = await content(api, again).catch((error) => {
      if (!(error instanceof ApiProblem || error instanceof Unreachable)) throw error;
      return [trouble(error, api, again)];
    });
    if (filling.get(place) === time) place.replaceChildren(...nodes);
  } finally {
    if (filling.get(place) === time) place.removeAttribute("aria-busy");
  }
}

/**
 * @param {ApiProblem | Unreachable} error
 * @param {import("../api.js").Api} api
 * @param {() => Promise<void>} again
 */
function trouble(error, api, again) {
  const refused = error instanceof ApiProblem && (error.status === 401 || error.status === 403);
  const retry = () => {
    if (refused) api.forgetKey();
    again();
  };
  return element(
    "div",
    { role: "alert" },
    element("p", { class: "problem" }, `${error.title}: ${error.message}`),
    element("button", { type: "button", class: "button", onclick: retry }, refused ? "Use another key" : "Try again"),
  );
}

/** Names and values, in a list of definitions. @param {[string, string | number][]} pairs */
export function facts(pairs) {
  return element("dl", { class: "facts" }, ...pairs.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, String(value))]));
}
