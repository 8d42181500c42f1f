/** Asks for a key where the server wants one. api.js keeps it until the tab is closed. */

import { dialog } from "./dialog.js";
import { element, icon } from "./element.js";

/**
 * Puts the dialog into the page.
 * @param {string} question  its heading
 * @returns {(problem: Error) => Promise<string | null>} null: the person closed the dialog without one
 */
export function keyQuestion(question) {
  const reason = element("p", { id: "key-reason", role: "alert" });
  const input = element("input", { id: "key", type: "password", required: true, autocomplete: "off", placeholder: "gsk_…" });
  /** @type {string | null} */
  let given = null;
  const form = element(
    "form",
    {
      id: "key-form",
      class: "stack",
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        given = input.value.trim() || null;
        box.close();
      },
    },
    element("label", { for: "key" }, "Key"),
    element("div", { class: "joined" }, input, element("button", { type: "submit", class: "button primary" }, "Use this key")),
    element("p", { class: "quiet" }, "It is kept in this tab only, and forgotten when you close it."),
  );
  const close = element("button", { type: "button", class: "round close", "data-close": true, "aria-label": "Close" }, icon("close"));
  const body = element("div", { class: "dialog-body" }, element("h2", { id: "key-heading" }, question), reason, form);
  const frame = element("div", { class: "dialog-frame" }, close, body);
  document.body.append(element("dialog", { id: "key-dialog", "aria-labelledby": "key-heading" }, frame));
  const box = dialog("key-dialog");
  return (problem) => {
    given = null;
    input.value = "";
    reason.textContent = problem.message;
    box.showModal();
    return new Promise((resolve) => box.addEventListener("close", () => resolve(given), { once: true }));
  };
}
