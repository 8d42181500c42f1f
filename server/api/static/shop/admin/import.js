/** Writes the items of a file, with a result for each line while it goes on. */

import { ApiProblem, Unreachable } from "../api.js";
import { element } from "../element.js";
import { countInWords } from "../words.js";
import { table } from "./table.js";

const PART = 10_000; // lines of one request
const SHOWN = 50; // lines that were refused
const ACTIONS = [["upsert", "write whole items, new or not"], ["create", "new items only"], ["update", "change the named columns"], ["emplace", "change, or new items too"]];

/** @param {import("../api.js").Api} api @returns {Promise<Node[]>} */
export async function showImport(api) {
  const file = element("input", { id: "import-file", type: "file", accept: ".jsonl,.ndjson,.json,application/x-ndjson", required: true });
  const action = element("select", { id: "import-action" }, ...ACTIONS.map(([name, words]) => element("option", { value: name }, `${name}: ${words}`)));
  const dry = element("input", { id: "import-dry", type: "checkbox", checked: true });
  const button = element("button", { type: "submit", class: "button primary" }, "Import");
  const place = element("div", { id: "import-results", "aria-live": "polite" });
  const send = async (/** @type {Event} */ event) => {
    event.preventDefault();
    button.disabled = true;
    await imported(api, await file.files[0].text(), `action=${action.value}&dry_run=${dry.checked}`, place);
    button.disabled = false;
  };
  return [
    element(
      "form",
      { id: "import-form", class: "stack", onsubmit: send },
      element("label", { for: "import-file" }, "File of JSON lines, an item each with its id"),
      file,
      element("label", { for: "import-action" }, "What to do"),
      action,
      element("label", { class: "checked" }, dry, " Only check, and change nothing"),
      element("div", { class: "actions" }, button),
    ),
    place,
  ];
}

/**
 * @param {import("../api.js").Api} api
 * @param {string} text
 * @param {string} parameters
 * @param {HTMLElement} place
 */
async function imported(api, text, parameters, place) {
  const lines = text.split(/\r?\n/).flatMap((line, place) => (line.trim() === "" ? [] : [{ line, number: place + 1 }]));
  const bar = element("progress", { max: Math.max(lines.length, 1), value: 0, "aria-label": "Lines that are done" });
  const words = element("p", { role: "status" }, "Begun");
  const failed = element("div", {});
  place.replaceChildren(bar, words, failed);
  /** @type {Map<string, number>} */
  const counts = new Map();
  /** @type {(string | number)[][]} */
  const refused = [];
  let done = 0;
  const tell = () => {
    bar.value = done;
    words.textContent = [`${countInWords(done)} of ${countInWords(lines.length)} lines`, ...[...counts].map(([result, count]) => `${countInWords(count)} ${result}`)].join(", ");
    const rows = refused.slice(0, SHOWN);
    failed.replaceChildren(...(rows.length > 0 ? [table("Lines that were refused", ["Line", "Id", "Why"], rows)] : []));
  };
  try {
    for (let start = 0; start < lines.length; start += PART) {
      const part = lines.slice(start, start + PART);
      for await (const { index, id, result, problem } of api.stream(`/items/import?${parameters}`, part.map(({ line }) => line).join("\n"))) {
        const kind = problem ? "refused" : result;
        counts.set(kind, (counts.get(kind) ?? 0) + 1);
        if (problem) refused.push([part[index].number, id ?? "–", problem.detail]);
        done += 1;
        if (done % 500 === 0) tell();
      }
    }
    tell();
  } catch (error) {
    if (!(error instanceof ApiProblem || error instanceof Unreachable)) throw error;
    tell();
    place.append(element("p", { class: "problem", role: "alert" }, `${error.title}: ${error.message}`));
  }
}
