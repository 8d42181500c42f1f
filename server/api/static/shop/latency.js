/** How fast this page is answered, and by which model. */

import { byId, drawing } from "./element.js";
import { countInWords, duration } from "./words.js";

const KEPT = 50;
const WIDTH = 240;
const HEIGHT = 44;

export class Latency {
  /** @type {number[]} round trips in milliseconds, oldest first */
  #trips = [];

  /** @param {import("./types.js").Timing} timing */
  add({ milliseconds: trip, answer }) {
    this.#trips = [...this.#trips, trip].slice(-KEPT);
    const sorted = [...this.#trips].sort((left, right) => left - right);
    const texts = {
      "round-trip": duration(trip),
      took: duration(answer.took_ms),
      p50: duration(quantile(sorted, 0.5)),
      p95: duration(quantile(sorted, 0.95)),
      model: answer.model,
      catalog: countInWords(answer.catalog_version),
    };
    for (const [id, text] of Object.entries(texts)) byId(id).textContent = text;
    byId("degraded").hidden = !answer.degraded;
    byId("sparkline").replaceChildren(sparkline(this.#trips));
  }

  /** @param {import("./api.js").Api} api */
  async tellVersion(api) {
    const { items, engine } = await api.version();
    byId("items").textContent = countInWords(items);
    byId("engine").textContent = engine;
  }
}

/** The nearest rank. @param {number[]} sorted @param {number} share */
const quantile = (sorted, share) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];

/** @param {number[]} trips */
function sparkline(trips) {
  const most = Math.max(...trips);
  const points = trips.map((trip, place) => {
    const x = WIDTH - (trips.length - 1 - place) * (WIDTH / (KEPT - 1));
    return `${x.toFixed(1)} ${(HEIGHT - 3 - (trip / most) * (HEIGHT - 8)).toFixed(1)}`;
  });
  const last = points[points.length - 1].split(" ");
  const label = `The last ${trips.length} round trips: ${duration(Math.min(...trips))} to ${duration(most)}`;
  return drawing(
    "svg",
    { class: "sparkline", viewBox: `0 0 ${WIDTH + 4} ${HEIGHT}`, role: "img", "aria-label": label },
    drawing("path", { class: "sparkline-line", d: `M${points.join("L")}` }),
    drawing("circle", { class: "sparkline-end", cx: last[0], cy: last[1], r: 3 }),
  );
}
