/** What people searched for and clicked: click rate and searches without results by day, and the queries themselves. */

import { ApiProblem } from "../api.js";
import { element } from "../element.js";
import { percent } from "../words.js";
import { chart } from "./chart.js";
import { rateInWords, rounded, table } from "./table.js";

const QUERIES = 10;
/** @type {[string, string, string][]} */
const LISTS = [
  ["queries", "What people searched for most", "Nobody has searched in these 30 days."],
  ["no-results", "Searches that nothing fits", "Every search had results that fit."],
  ["no-clicks", "Searches that nobody clicked an answer of", "Every search had a click."],
];

/** @param {import("../api.js").Api} api @returns {Promise<Node[]>} */
export async function showAnalytics(api) {
  try {
    const reports = LISTS.map(([name]) => api.request("GET", `/analytics/${name}?limit=${QUERIES}`));
    const [{ metrics }, ...lists] = await Promise.all([api.request("GET", "/analytics/metrics"), ...reports]);
    return [...days(metrics), ...lists.map((list, place) => queries(LISTS[place], list.queries))];
  } catch (error) {
    if (!(error instanceof ApiProblem) || error.code !== "no_analytics") throw error;
    return [element("p", { class: "quiet" }, error.message)];
  }
}

/** @param {any[]} metrics  rows of searches are joined over versions; those of other kinds are not shown */
function days(metrics) {
  /** @type {Map<string, {intents: number, clicked: number, unanswered: number, converted: number}>} */
  const byDay = new Map();
  for (const row of metrics.filter(({ kind }) => kind === "search")) {
    const sum = byDay.get(row.day) ?? { intents: 0, clicked: 0, unanswered: 0, converted: 0 };
    byDay.set(row.day, {
      intents: sum.intents + row.intents,
      clicked: sum.clicked + row.clicked,
      unanswered: sum.unanswered + row.unanswered,
      converted: sum.converted + row.converted,
    });
  }
  const rows = [...byDay].toSorted(([one], [other]) => (one < other ? -1 : 1));
  if (rows.length === 0) return [element("p", { class: "quiet" }, "Nobody has searched in these 30 days.")];
  const line = (/** @type {string} */ title, /** @type {"clicked" | "unanswered"} */ what) =>
    chart(title, rows.map(([day, counts]) => ({ day, value: counts[what] / counts.intents })), percent);
  const cells = rows.map(([day, { intents, clicked, unanswered, converted }]) => [
    day,
    intents,
    percent(clicked / intents),
    percent(unanswered / intents),
    percent(converted / intents),
  ]);
  return [
    element("div", { class: "charts" }, line("Click rate of searches", "clicked"), line("Searches without results", "unanswered")),
    table("Searches by day", ["Day (UTC)", "Searches", "Click rate", "Without results", "Bought"], cells.toReversed()),
  ];
}

/** @param {[string, string, string]} list @param {any[]} found */
function queries([name, title, nothing], found) {
  const rows = found.map((row) => [row.query, row.intents, row.users, rateInWords(row.click_rate), rounded(row.mean_position, 1)]);
  return element(
    "div",
    { id: `analytics-${name}` },
    element("h3", {}, title),
    table(title, ["Query", "Searches", "Users", "Click rate", "First click at"], rows, nothing),
  );
}
