/** What a search was read as beyond its words, each part as a chip that takes it back. */

import { element } from "./element.js";
import { priceRangeInWords } from "./words.js";

/**
 * @typedef {object} Reading
 * @property {string} text
 * @property {string} removal  what taking it back means
 * @property {Partial<import("./types.js").Question>} undo  the parameters that take it back
 *
 * @typedef {(answer: import("./types.js").Answer) => Reading | null} Reader
 */

/** @type {Reader[]} */
const READERS = [
  ({ corrected_query: corrected }) =>
    corrected ? { text: `Spelling: ${corrected}`, removal: "search for it as it was typed", undo: { correct: false } } : null,
  ({ understood }) =>
    understood?.price
      ? { text: priceRangeInWords(understood.price), removal: "any price, and all words as they stand", undo: { understand: false } }
      : null,
  ({ understood }) =>
    understood?.synonyms?.length
      ? {
          text: `Also: ${understood.synonyms.map((one) => one.read_as).join(", ")}`,
          removal: "only the words that were typed, all as they stand",
          undo: { understand: false },
        }
      : null,
];

/**
 * @param {import("./types.js").Answer} answer
 * @param {(undo: Reading["undo"]) => void} onRemove
 * @returns {HTMLElement[]}
 */
export function chips(answer, onRemove) {
  const read = READERS.flatMap((reader) => reader(answer) ?? []);
  return read.map(({ text, removal, undo }) =>
    element(
      "button",
      { type: "button", class: "chip", "aria-label": `Remove “${text}”: ${removal}`, onclick: () => onRemove(undo) },
      `${text} ×`,
    ),
  );
}
