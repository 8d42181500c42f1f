/** One model's bundle: what it is, how it was evaluated beside the baselines, and how far its rollout is. */

import { element } from "../element.js";
import { facts } from "./section.js";
import { moment, rounded, table } from "./table.js";

const MEASURES = ["ndcg@10", "recall@10", "mrr@10", "hit@10"];
const STEPS = { loading: "Its engine loads the model", checking: "It is asked the golden queries", catching_up: "It catches up with changes and events" };
const POLL_MS = 500;

/** @typedef {{questions: number, values: Record<string, number>, intervals: Record<string, [number, number]>}} Measures */

/** @param {any} model  as GET /admin/models/{version} tells it */
export function report(model) {
  const { manifest, golden } = model;
  return [
    element("h3", {}, `Bundle ${model.version}`),
    model.failure ? element("p", { class: "problem" }, `Not served on ${moment(model.failure.at)} UTC: ${model.failure.reason}`) : null,
    facts([
      ["Created", manifest.created],
      ["Trained by", manifest.method],
      ["Base model", manifest.base_model],
      ["Engine", manifest.engine],
      ["Items", manifest.items],
      ["Codes of each level", manifest.code_sizes.join(" × ")],
      ["Trained on from", manifest.warm_start ?? "–"],
      ["Golden queries", golden ? `${golden.queries}, up to ${golden.tolerance.toPrecision(2)} off` : "none"],
    ]),
    ...(model.report ? Object.entries(model.report.tasks).map(([task, rankers]) => measures(task, rankers)) : [element("p", { class: "quiet" }, "It was published without a report.")]),
  ].filter((node) => node !== null);
}

/** @param {string} task @param {Record<string, Measures>} rankers */
function measures(task, rankers) {
  const shown = MEASURES.filter((name) => Object.values(rankers).some(({ values }) => name in values));
  const rows = Object.entries(rankers)
    .toSorted(([, one], [, other]) => (other.values[shown[0]] ?? 0) - (one.values[shown[0]] ?? 0))
    .map(([name, own]) => [name.replaceAll("_", " "), ...shown.map((measure) => value(own, measure)), own.questions]);
  return table(`Report of ${task}`, ["Ranker", ...shown, "Questions"], rows);
}

/** @param {Measures} own @param {string} measure */
function value({ values, intervals }, measure) {
  const interval = intervals[measure];
  return rounded(values[measure] ?? null, 3) + (interval ? ` (${interval.map((end) => end.toFixed(3)).join(" to ")})` : "");
}

/**
 * Tells how far a version is until the work that brings it has ended.
 * @template T
 * @param {import("../api.js").Api} api
 * @param {string} version
 * @param {HTMLElement} place
 * @param {Promise<T>} work
 * @returns {Promise<T>}
 */
export async function followed(api, version, place, work) {
  const bar = element("progress", { max: Object.keys(STEPS).length + 1, value: 0, "aria-label": `Rollout of ${version}` });
  const words = element("span", {}, "Begun");
  place.replaceChildren(bar, words);
  let ended = false;
  const done = work.finally(() => {
    ended = true;
    place.replaceChildren();
  });
  const follow = async () => {
    for (; !ended; await new Promise((resolve) => setTimeout(resolve, POLL_MS))) {
      const { rollout } = await api.request("GET", `/admin/models/${encodeURIComponent(version)}`);
      if (rollout === null) continue;
      bar.value = Object.keys(STEPS).indexOf(rollout.step) + 1;
      words.textContent = STEPS[/** @type {keyof typeof STEPS} */ (rollout.step)];
    }
  };
  follow().catch(() => undefined); // whoever waits for the work is told what went wrong
  return done;
}
