/** Fields of a form, each with its label, a hint, and a place for what is wrong with it. */

import { element } from "../../element.js";

/**
 * @typedef {object} Field
 * @property {HTMLElement} node
 * @property {any} control
 * @property {(message: string) => void} fail
 * @property {() => void} clear
 */

/**
 * @param {string} id
 * @param {string} label
 * @param {any} control  an input, a select or a textarea
 * @param {string} [hint]
 * @returns {Field}
 */
export function field(id, label, control, hint) {
  const problem = element("p", { id: `${id}-problem`, class: "problem" });
  const described = hint === undefined ? null : element("p", { id: `${id}-hint`, class: "quiet" }, hint);
  control.id = id;
  const spoken = [described?.id, problem.id].filter(Boolean).join(" ");
  control.setAttribute("aria-describedby", spoken);
  return {
    node: element("div", { class: "field" }, element("label", { for: id }, label), described, control, problem),
    control,
    fail: (message) => {
      problem.textContent = message;
      control.setAttribute("aria-invalid", "true");
    },
    clear: () => {
      problem.textContent = "";
      control.removeAttribute("aria-invalid");
    },
  };
}

export const input = (/** @type {Record<string, any>} */ attributes = {}) => element("input", { type: "text", autocomplete: "off", ...attributes });
export const area = (/** @type {number} */ rows) => element("textarea", { rows, autocomplete: "off", spellcheck: "false" });

/** The lines of a text that are not blank, with their numbers from 1. @param {string} text */
export function linesOf(text) {
  return text.split("\n").flatMap((line, place) => (line.trim() === "" ? [] : [{ text: line.trim(), number: place + 1 }]));
}

/** Shows problems at their fields, the first of them with the focus. Returns those that no field is for.
 * @param {Map<string, Field>} fields  by the names that the server has for them
 * @param {{field: string, message: string}[]} problems  a field of them may stand below one: `synonyms.1`
 */
export function tell(fields, problems) {
  /** @type {Map<Field, string[]>} */
  const told = new Map();
  const others = problems.filter(({ field: name, message }) => {
    const parts = name.split(".");
    const at = parts.map((_, place) => parts.slice(0, parts.length - place).join(".")).find((part) => fields.has(part));
    if (at === undefined) return true;
    const found = /** @type {Field} */ (fields.get(at));
    const line = Number(name.slice(at.length + 1).split(".")[0] || Number.NaN);
    const lines = found.control.tagName === "TEXTAREA" ? linesOf(found.control.value) : [];
    const where = lines[line] === undefined ? "" : `Line ${lines[line].number} `;
    told.set(found, [...(told.get(found) ?? []), `${where}${message}`]);
    return false;
  });
  for (const [found, messages] of told) found.fail(messages.join("; "));
  [...told.keys()][0]?.control.focus();
  return others;
}
