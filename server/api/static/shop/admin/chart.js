/** A line by days, as SVG. It is a picture of a table that stands beside it, where its numbers can be read. */

import { drawing, element } from "../element.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [640, 180, 48, 24, 10];

/**
 * @param {string} title
 * @param {{day: string, value: number | null}[]} points  in the order of days; null where a day has none
 * @param {(value: number) => string} inWords
 */
export function chart(title, points, inWords) {
  const known = points.flatMap(({ value }) => (value === null ? [] : [value]));
  const most = Math.max(...known, 0) || 1;
  const x = (/** @type {number} */ place) =>
    points.length === 1 ? (LEFT + WIDTH) / 2 : LEFT + (place / (points.length - 1)) * (WIDTH - LEFT - 8);
  const y = (/** @type {number} */ value) => HEIGHT - BOTTOM - (value / most) * (HEIGHT - BOTTOM - TOP);
  const marks = points.flatMap(({ value, day }, place) =>
    value === null ? [] : [drawing("circle", { class: "chart-mark", cx: x(place), cy: y(value), r: 3.5 }, drawing("title", {}, `${day}: ${inWords(value)}`))],
  );
  const path = points.reduce((drawn, { value }, place) => {
    if (value === null) return drawn;
    const goesOn = place > 0 && points[place - 1].value !== null;
    return `${drawn}${goesOn ? "L" : "M"}${x(place).toFixed(1)} ${y(value).toFixed(1)}`;
  }, "");
  const grid = [0, most / 2, most].flatMap((value) => [
    drawing("line", { class: "chart-grid", x1: LEFT, x2: WIDTH, y1: y(value), y2: y(value) }),
    drawing("text", { class: "chart-label", x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, inWords(value)),
  ]);
  const ends = points.length === 0 ? [] : [points[0].day, ...(points.length > 1 ? [points[points.length - 1].day] : [])];
  const days = ends.map((day, place) =>
    drawing("text", { class: "chart-label", x: place === 0 && ends.length > 1 ? LEFT : ends.length > 1 ? WIDTH : x(0), y: HEIGHT - 4, "text-anchor": ends.length === 1 ? "middle" : place === 0 ? "start" : "end" }, day),
  );
  return element(
    "figure",
    { class: "chart" },
    element("figcaption", {}, title),
    drawing("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}, by day; the table below has its numbers` }, ...grid, drawing("path", { class: "chart-line", d: path }), ...marks, ...days),
  );
}
