/** The dialog in which a set of synonyms or an override is written. Escape and its buttons close it; a click beside it does not, as what was typed would be lost. */

import { ApiProblem, Unreachable } from "../../api.js";
import { element } from "../../element.js";
import { confirmed } from "../confirm.js";
import { tell } from "./fields.js";

/**
 * @typedef {object} Draft
 * @property {string} id
 * @property {unknown} body
 * @property {string | null} warning  why it might do more than is wanted
 * @property {{field: string, message: string}[]} problems  that are found before the server is asked
 */

/**
 * @param {object} editor
 * @param {string} editor.name  in ids of elements
 * @param {Node[]} editor.content
 * @param {Map<string, import("./fields.js").Field>} editor.fields  by the names that the server has for them
 * @param {() => Draft} editor.draft  what is written in it
 * @param {(draft: Draft) => Promise<void>} editor.write  at the server
 * @returns {(heading: string) => void} opens it
 */
export function editor({ name, content, fields, draft, write }) {
  const heading = element("h2", { id: `${name}-heading` });
  const problem = element("p", { class: "problem", role: "alert" });
  const save = element("button", { type: "submit", class: "button primary" }, "Save");
  const close = element("button", { type: "button", class: "button", onclick: () => box.close() }, "Leave it");
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (save.disabled) return;
    forget();
    const wanted = draft();
    if (wanted.problems.length > 0) return say(wanted.problems);
    if (wanted.warning !== null && !(await confirmed("Save it all the same?", wanted.warning, "Save it"))) return;
    save.disabled = true;
    try {
      await write(wanted);
      box.close();
    } catch (error) {
      if (!(error instanceof ApiProblem || error instanceof Unreachable)) throw error;
      if (error instanceof ApiProblem && error.errors.length > 0) say(error.errors);
      else problem.textContent = `${error.title}: ${error.message}`;
    } finally {
      save.disabled = false;
    }
  };
  const form = element("form", { class: "stack", novalidate: true, onsubmit: submit }, ...content, problem, element("div", { class: "actions" }, close, save));
  const body = element("div", { class: "dialog-body" }, heading, form);
  const box = element("dialog", { id: `${name}-dialog`, class: "wide", "aria-labelledby": heading.id }, element("div", { class: "dialog-frame" }, body));
  document.getElementById(box.id)?.remove();
  document.body.append(box);

  function forget() {
    problem.textContent = "";
    for (const field of fields.values()) field.clear();
  }

  /** @param {{field: string, message: string}[]} problems */
  function say(problems) {
    problem.textContent = tell(fields, problems)
      .map(({ field, message }) => `${field} ${message}`)
      .join("; ");
  }

  return (title) => {
    forget();
    heading.textContent = title;
    box.showModal();
    body.scrollTop = 0;
  };
}
