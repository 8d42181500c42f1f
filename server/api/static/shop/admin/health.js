/** Whether the server can answer, and which model over which catalog does. */

import { ApiProblem } from "../api.js";
import { facts } from "./section.js";

/** @param {import("../api.js").Api} api @returns {Promise<Node[]>} */
export async function showHealth(api) {
  const [live, ready, version] = await Promise.all([api.request("GET", "/health/live"), readiness(api), api.request("GET", "/version")]);
  return [
    facts([["Process", live.status], ["Readiness", ready.status], ...ready.checks]),
    facts([
      ["Model", version.model],
      ["Engine", version.engine],
      ["Items", version.items],
      ["Catalog version", version.catalog_version],
      ["gemserve", version.gemserve],
    ]),
  ];
}

/** A server that is not ready says so with 503, which is an answer here. @param {import("../api.js").Api} api */
async function readiness(api) {
  try {
    const { status, checks } = await api.request("GET", "/health/ready");
    return { status, checks: Object.entries(checks) };
  } catch (error) {
    if (!(error instanceof ApiProblem) || error.status !== 503) throw error;
    return { status: `not ready: ${error.message}`, checks: Object.entries(error.checks ?? {}) };
  }
}
