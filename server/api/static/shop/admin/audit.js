/** Who changed what, the newest first. */

import { ApiProblem, Unreachable } from "../api.js";
import { element } from "../element.js";
import { notify } from "../notice.js";
import { moment, table } from "./table.js";

const PAGE = 20;

/** @param {import("../api.js").Api} api @returns {Promise<Node[]>} */
export async function showAudit(api) {
  const place = element("div", { id: "audit-changes" });
  /** @type {any[]} */
  const changes = [];
  const more = element("button", { type: "button", class: "button", id: "audit-older", onclick: () => older() }, "Older ones");
  let cursor = "";

  const load = async () => {
    const page = await api.request("GET", `/admin/audit?limit=${PAGE}${cursor}`);
    changes.push(...page.changes);
    cursor = `&cursor=${page.next_cursor}`;
    more.hidden = page.next_cursor === null;
    place.replaceChildren(table("Changes, the newest first", ["When (UTC)", "What", "Of what", "Key", "From"], changes.map(row), "Nothing was changed yet."));
  };
  const older = () =>
    load().catch((error) => {
      if (!(error instanceof ApiProblem || error instanceof Unreachable)) throw error;
      notify(`${error.title}: ${error.message}`, "failed");
    });

  await load();
  return [place, more];
}

/** @param {any} change */
function row({ at, method, route, target, key_name, key, address }) {
  return [moment(at), `${method} ${route}`, Object.values(target).join(", "), key_name ?? key ?? "none was needed", address];
}
