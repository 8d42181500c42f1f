/** Asks before something that everybody notices. */

import { dialog } from "../dialog.js";
import { byId } from "../element.js";

const box = dialog("confirm-dialog");

/**
 * @param {string} question
 * @param {string} text  what will happen
 * @param {string} action  what the button that does it says
 * @returns {Promise<boolean>}
 */
export function confirmed(question, text, action) {
  byId("confirm-heading").textContent = question;
  byId("confirm-text").textContent = text;
  const button = byId("confirm");
  button.textContent = action;
  let given = false;
  button.onclick = () => {
    given = true;
    box.close();
  };
  box.showModal();
  return new Promise((resolve) => box.addEventListener("close", () => resolve(given), { once: true }));
}
