/** Keys beyond Tab: `/` to search, arrows among the cards. Escape in dialogs is the browser's. */

import { byId } from "./element.js";

export function startKeyboard() {
  document.addEventListener("keydown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return; // an arrow may have gone among suggestions
    if (event.key === "/" && !target.matches("input, textarea") && !target.closest("dialog")) {
      event.preventDefault();
      byId("query").focus();
    } else if (target.id === "query" && event.key === "ArrowDown") {
      move(event, cardsOf(document.querySelector(".listing:not([hidden])"))[0]);
    } else if (target.matches(".card-open")) {
      walk(event, target);
    }
  });
}

/** @param {KeyboardEvent} event @param {HTMLElement} from */
function walk(event, from) {
  const cards = cardsOf(from.closest("ul"));
  const place = cards.indexOf(from);
  const columns = cards.filter((card) => topOf(card) === topOf(cards[0])).length;
  if (event.key === "Escape" && !from.closest("dialog")) move(event, byId("query"));
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
  if (step === undefined) return;
  const leavesTop = event.key === "ArrowUp" && place < columns && !from.closest("dialog");
  move(event, leavesTop ? byId("query") : cards[place + step]);
}

/** @param {KeyboardEvent} event @param {HTMLElement | undefined} to */
function move(event, to) {
  event.preventDefault();
  to?.focus();
  to?.closest(".card")?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

/** @param {Element | null} list @returns {HTMLElement[]} */
const cardsOf = (list) => [.../** @type {any} */ (list?.querySelectorAll(".card-open") ?? [])];

/** Of its card, since titles may be of different heights. @param {HTMLElement} button */
const topOf = (button) => /** @type {HTMLElement} */ (button.closest(".card")).offsetTop;
