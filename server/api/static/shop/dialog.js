/** What every dialog of the page does: Escape is the browser's, a click beside it closes it too. */

import { byId } from "./element.js";

/** @param {string} id @returns {HTMLDialogElement} */
export function dialog(id) {
  const found = byId(id);
  found.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    const closes = event.target === found || /** @type {Element} */ (event.target).closest("[data-close]");
    if (closes) found.close();
  });
  return found;
}
