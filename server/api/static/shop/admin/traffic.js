/** Which versions share the users, and which of them serves its users better. */

import { ApiProblem, Unreachable } from "../api.js";
import { element } from "../element.js";
import { notify } from "../notice.js";
import { confirmed } from "./confirm.js";
import { rateInWords, table } from "./table.js";

const GOALS = [["click", "Users who clicked"], ["conversion", "Users who bought"]];

/**
 * @param {import("../api.js").Api} api
 * @param {() => Promise<void>} again
 * @returns {Promise<Node[]>}
 */
export async function showTraffic(api, again) {
  const { current, versions, traffic } = await api.request("GET", "/admin/models");
  return [split(api, { current, versions, traffic }, again), ...(await results(api))];
}

/** @param {import("../api.js").Api} api @param {any} models @param {() => Promise<void>} again */
function split(api, { current, versions, traffic }, again) {
  if (versions.length < 2) return element("p", { class: "quiet" }, `${current} answers everybody; it is the only bundle.`);

  /** @param {string} question @param {string} action @param {() => Promise<unknown>} work */
  const change = async (question, action, work) => {
    const text = "The server answers all the time. Versions that do not answer yet are loaded and checked first, which may take minutes.";
    if (!(await confirmed(question, text, action))) return;
    button.disabled = true;
    try {
      await work();
      notify("The users are shared as you said.", "done");
    } catch (error) {
      if (!(error instanceof ApiProblem || error instanceof Unreachable)) throw error;
      notify(`${error.title}: ${error.message}`, "failed");
    }
    await again();
  };

  const inputs = versions.map((/** @type {string} */ version) =>
    element("input", { type: "number", min: 0, max: 1_000_000, step: 1, value: traffic[version] ?? 0, "aria-label": `Weight of ${version}`, "data-version": version }),
  );
  const button = element("button", { type: "submit", class: "button primary" }, "Share the users");
  const send = (/** @type {Event} */ event) => {
    event.preventDefault();
    const weights = Object.fromEntries(
      inputs.map((/** @type {HTMLInputElement} */ input) => [input.dataset.version, Number(input.value)]).filter((/** @type {[string, number]} */ [, weight]) => weight > 0),
    );
    const alone = Object.keys(weights).length === 1 && weights[current];
    if (alone) change(`Have ${current} answer everybody?`, "End the split", () => api.request("DELETE", "/admin/traffic"));
    else change("Share the users by these weights?", "Share", () => api.request("PUT", "/admin/traffic", { body: { weights } }));
  };
  const rows = versions.map((/** @type {string} */ version, /** @type {number} */ place) => [version, version === current ? "current" : "", inputs[place]]);
  return element(
    "form",
    { id: "traffic-form", onsubmit: send },
    table("Traffic split", ["Version", "Role", "Weight"], rows),
    element("p", { class: "quiet" }, "0 takes a version out. The same user always meets the same version; the current one must be among them."),
    element("div", { class: "actions" }, button),
  );
}

/** @param {import("../api.js").Api} api */
async function results(api) {
  try {
    const found = await Promise.all(GOALS.map(([goal]) => api.request("GET", `/analytics/experiment?goal=${goal}`)));
    return found.map((experiment, place) => result(GOALS[place], experiment));
  } catch (error) {
    if (!(error instanceof ApiProblem) || error.code !== "no_analytics") throw error;
    return [element("p", { class: "quiet" }, error.message)];
  }
}

/** @param {string[]} goal @param {any} experiment */
function result([goal, title], { baseline, versions, decided }) {
  const compared = versions.length > 1;
  const words = !compared ? "Nothing to compare: one version had users in these 30 days." : decided ? "Decided." : "Not yet decided. You may look as often as you like.";
  const rows = versions.map((/** @type {any} */ { model, users, reached, rate, against }) => [
    model === baseline ? `${model} (baseline)` : model,
    users,
    reached,
    rateInWords(rate),
    against === null || against === undefined ? "–" : difference(against),
    against === null || against === undefined ? "–" : against.decided ? "decided" : "not yet",
  ]);
  return element(
    "div",
    { id: `experiment-${goal}` },
    element("h3", {}, title),
    element("p", { class: "verdict" }, words),
    table(title, ["Version", "Users", "Of these", "Share", "Less the baseline", "Test"], rows, "No version had users in these 30 days."),
  );
}

/** @param {{difference: number | null, low: number | null, high: number | null, p_value: number}} against */
function difference({ difference: points, low, high, p_value }) {
  if (points === null || low === null || high === null) return "–";
  const inPoints = (/** @type {number} */ share) => (100 * share).toFixed(1);
  return `${inPoints(points)} points (${inPoints(low)} to ${inPoints(high)}), p = ${p_value.toPrecision(2)}`;
}
