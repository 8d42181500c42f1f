/** Words that searches also read as others. */

import { element } from "../../element.js";
import { notify } from "../../notice.js";
import { editor } from "./editor.js";
import { area, field, input, linesOf } from "./fields.js";
import { entryList } from "./list.js";

/** @param {import("../../api.js").Api} api @returns {Promise<Node[]>} */
export async function showSynonyms(api) {
  const id = field("synonyms-id", "Name", input(), "For you alone; 1 to 256 characters.");
  const words = field("synonyms-words", "Words and phrases, one a line", area(6), "Up to eight, of five words each at most. Case, accents and endings do not count.");
  const root = field("synonyms-root", "Only for the word", input(), "Leave it empty where all mean the same. With it, this word alone is also read as the others, and none of them as it.");
  const open = editor({
    name: "synonyms",
    content: [id.node, words.node, root.node],
    fields: new Map([["id", id], ["synonyms", words], ["root", root]]),
    draft: () => {
      const synonyms = linesOf(words.control.value).map(({ text }) => text);
      const only = root.control.value.trim();
      const problems = id.control.value.trim() === "" ? [{ field: "id", message: "Give it a name." }] : [];
      return { id: id.control.value.trim(), body: { synonyms, root: only === "" ? null : only }, warning: broad([...synonyms, only]), problems };
    },
    write: async ({ id: name, body }) => {
      await api.request("PUT", `/synonyms/${encodeURIComponent(name)}`, { body });
      notify(`${name} is saved.`, "done");
      await list.load();
    },
  });
  const list = entryList(api, {
    name: "synonyms",
    one: "set",
    hint: "Name or word",
    heads: ["Name", "Words", "Only for"],
    cells: ({ id: name, synonyms, root: only }) => [name, synonyms.join(", "), only ?? "–"],
    edit: (entry) => {
      id.control.value = entry?.id ?? "";
      id.control.readOnly = entry !== null;
      words.control.value = entry?.synonyms.join("\n") ?? "";
      root.control.value = entry?.root ?? "";
      open(entry === null ? "New set of synonyms" : `Synonyms ${entry.id}`);
    },
  });
  await list.load();
  return [element("p", { class: "quiet" }, "Words that searches also read as each other, at once in every server."), ...list.nodes];
}

/** Why a set might do more than is wanted. @param {string[]} words */
function broad(words) {
  const short = words.filter((word) => [...word].length === 1);
  return short.length === 0 ? null : `Every search with ${short.map((word) => `“${word}”`).join(" or ")} is read with the other words too.`;
}
