/** Asks for a key where the server wants one. api.js keeps it until the tab is closed. */

import { dialog } from "./dialog.js";
import { byId } from "./element.js";

/** @returns {(problem: Error) => Promise<string | null>} null: the person closed the dialog without one */
export function keyQuestion() {
  const box = dialog("key-dialog");
  const [form, input, reason] = ["key-form", "key", "key-reason"].map(byId);
  /** @type {string | null} */
  let given = null;
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    given = input.value.trim() || null;
    box.close();
  });
  return (problem) => {
    given = null;
    input.value = "";
    reason.textContent = problem.message;
    box.showModal();
    return new Promise((resolve) => box.addEventListener("close", () => resolve(given), { once: true }));
  };
}
