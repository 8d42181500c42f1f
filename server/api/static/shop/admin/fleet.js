/** The servers that change their models together: what they serve, what is under way, and how each of them is. */

import { ApiProblem } from "../api.js";
import { element } from "../element.js";
import { facts } from "./section.js";
import { table } from "./table.js";

/** @param {import("../api.js").Api} api @returns {Promise<Node[]>} */
export async function showFleet(api) {
  try {
    const fleet = await api.request("GET", "/admin/fleet");
    return [facts(served(fleet)), table(`Servers of the fleet ${fleet.name}`, ["Server", "State", "Epoch", "Models", "Trouble"], fleet.members.map(row))];
  } catch (error) {
    if (!(error instanceof ApiProblem) || error.code !== "no_fleet") throw error;
    return [element("p", { class: "quiet" }, "This server decides alone which model answers. Servers that are started with --fleet NAME change their models together.")];
  }
}

/** @param {any} fleet @returns {[string, string | number][]} */
function served({ name, epoch, current, previous, traffic, passing, change, configured }) {
  const next = change && `${shares(change.traffic)}; ${change.waits_for.length > 0 ? `waits for ${change.waits_for.join(", ")}` : "all have loaded it"}`;
  return [
    ["Fleet", name],
    ["Epoch", epoch],
    ["Current model", current ?? "none yet"],
    ["Previous model", previous ?? "none"],
    ["Answers", shares(traffic)],
    ["Under way", next ?? (passing ? "users are passing to these models" : "nothing")],
    ...(configured ? [/** @type {[string, string]} */ (["Configured", configured.problem ? `${configured.version}: ${configured.problem}` : configured.version])] : []),
  ];
}

/** @param {Record<string, number>} weights */
function shares(weights) {
  const all = Object.values(weights).reduce((sum, weight) => sum + weight, 0);
  return Object.entries(weights).map(([version, weight]) => `${version} (${Math.round((100 * weight) / all)}%)`).join(", ") || "–";
}

/** @param {any} member */
function row({ address, name, here, live, lease_ms, epoch, versions, problem }) {
  const server = element("span", { title: name }, here ? `${address} (this one)` : address);
  return [server, live ? `live, lease of ${(lease_ms / 1000).toFixed(1)} s` : "lost", epoch, versions.join(", ") || "none", problem ?? "–"];
}
