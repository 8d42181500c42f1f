/** The published bundles: which ones answer, and the activation of another. */

import { ApiProblem, Unreachable } from "../api.js";
import { element } from "../element.js";
import { notify } from "../notice.js";
import { confirmed } from "./confirm.js";

/**
 * @param {import("../api.js").Api} api
 * @param {() => Promise<void>} again
 * @returns {Promise<Node[]>}
 */
export async function showModels(api, again) {
  const { current, previous, versions, traffic } = await api.request("GET", "/admin/models");
  const all = Object.values(traffic).reduce((sum, weight) => sum + weight, 0);

  /** @param {Event} event @param {string} question @param {string} action @param {string} address */
  const change = async (event, question, action, address) => {
    const text = "The server answers all the time. It loads the model and checks it first, which may take minutes.";
    if (!(await confirmed(question, text, action))) return;
    const button = /** @type {HTMLButtonElement} */ (event.target);
    button.disabled = true;
    try {
      const done = await api.request("POST", address);
      notify(`${done.model} answers now.`, "done");
    } catch (error) {
      if (!(error instanceof ApiProblem || error instanceof Unreachable)) throw error;
      notify(`${error.title}: ${error.message}`, "failed");
    }
    await again();
  };

  /** @param {string} version */
  const row = (version) => {
    const share = traffic[version] === undefined ? "–" : `${((100 * traffic[version]) / all).toFixed(1)}%`;
    const role = version === current ? "current" : version === previous ? "previous" : "";
    const activate = element(
      "button",
      {
        type: "button",
        class: "button",
        "aria-label": `Activate ${version}`,
        onclick: (/** @type {Event} */ event) =>
          change(event, `Activate ${version}?`, "Activate", `/admin/models/${encodeURIComponent(version)}/activate`),
      },
      "Activate",
    );
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, version),
      element("td", {}, role),
      element("td", {}, share),
      element("td", {}, version === current ? null : activate),
    );
  };
  const heads = ["Version", "Role", "Share of requests", "Change"].map((head) => element("th", { scope: "col" }, head));
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...[...versions].reverse().map(row)));
  if (!previous) return [table];
  const back = (/** @type {Event} */ event) => change(event, `Go back to ${previous}?`, "Roll back", "/admin/models/rollback");
  return [table, element("button", { type: "button", class: "button", id: "rollback", onclick: back }, `Roll back to ${previous}`)];
}
