/** The published bundles: which ones answer, what each is, and the activation of another. */

import { ApiProblem, Unreachable } from "../api.js";
import { element } from "../element.js";
import { notify } from "../notice.js";
import { confirmed } from "./confirm.js";
import { followed, report } from "./report.js";
import { table } from "./table.js";

/**
 * @param {import("../api.js").Api} api
 * @param {() => Promise<void>} again
 * @returns {Promise<Node[]>}
 */
export async function showModels(api, again) {
  const { current, previous, versions, traffic } = await api.request("GET", "/admin/models");
  const all = Object.values(traffic).reduce((sum, weight) => sum + weight, 0);
  const progress = element("p", { id: "rollout", class: "progress", role: "status" });
  const details = element("div", { id: "model-report" });

  /** @param {Event} event @param {string} version @param {string} question @param {string} action @param {string} address */
  const change = async (event, version, question, action, address) => {
    const text = "The server answers all the time. It loads the model and checks it first, which may take minutes.";
    if (!(await confirmed(question, text, action))) return;
    const button = /** @type {HTMLButtonElement} */ (event.target);
    button.disabled = true;
    try {
      const done = await followed(api, version, progress, api.request("POST", address));
      notify(`${done.model} answers now.`, "done");
    } catch (error) {
      if (!(error instanceof ApiProblem || error instanceof Unreachable)) throw error;
      notify(`${error.title}: ${error.message}`, "failed");
    }
    await again();
  };

  /** @param {string} version */
  const tell = async (version) => {
    try {
      details.replaceChildren(...report(await api.request("GET", `/admin/models/${encodeURIComponent(version)}`)));
    } catch (error) {
      if (!(error instanceof ApiProblem || error instanceof Unreachable)) throw error;
      details.replaceChildren(element("p", { class: "problem", role: "alert" }, `${error.title}: ${error.message}`));
    }
  };

  /** @param {string} version */
  const row = (version) => {
    const share = traffic[version] === undefined ? "–" : `${((100 * traffic[version]) / all).toFixed(1)}%`;
    const role = version === current ? "current" : version === previous ? "previous" : "";
    const activate = element(
      "button",
      {
        type: "button",
        class: "button activate",
        "aria-label": `Activate ${version}`,
        onclick: (/** @type {Event} */ event) =>
          change(event, version, `Activate ${version}?`, "Activate", `/admin/models/${encodeURIComponent(version)}/activate`),
      },
      "Activate",
    );
    const facts = { type: "button", class: "button", "aria-label": `Report of ${version}`, onclick: () => tell(version) };
    return [version, role, share, element("button", facts, "Report"), version === current ? null : activate];
  };
  const heads = ["Version", "Role", "Share of requests", "What it is", "Change"];
  const shown = [table("Models, the newest first", heads, [...versions].reverse().map(row)), progress];
  if (!previous) return [...shown, details];
  const back = (/** @type {Event} */ event) => change(event, previous, `Go back to ${previous}?`, "Roll back", "/admin/models/rollback");
  return [...shown, element("button", { type: "button", class: "button", id: "rollback", onclick: back }, `Roll back to ${previous}`), details];
}
