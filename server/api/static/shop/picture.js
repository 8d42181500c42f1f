/**
 * Items have no pictures, so each gets a landscape of its own: the colour comes from its category, so that a category is
 * recognised at a glance, and the hills from its id, so that it stays the same wherever the item appears.
 */

import { drawing } from "./element.js";

const WIDTH = 320;
const HEIGHT = 200;
const LAYERS = 3;
const SUN = "oklch(0.98 0.045 92)";
let pictures = 0;

/** @param {{id: string, categories?: string[] | null}} item */
export function picture(item) {
  const kind = item.categories?.at(-1) ?? "";
  const draw = dice(item.id);
  const hue = dice(kind || item.id)() * 360 + 24 * draw() - 12;
  const sky = `sky-${(pictures += 1)}`;
  const sun = { cx: WIDTH * (0.2 + 0.6 * draw()), cy: HEIGHT * (0.24 + 0.2 * draw()), r: 20 + 14 * draw() };
  return drawing(
    "svg",
    { class: "picture", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "xMidYMid slice", "aria-hidden": "true" },
    drawing(
      "linearGradient",
      { id: sky, x1: 0, y1: 0, x2: 0.3, y2: 1 },
      drawing("stop", { offset: 0, "stop-color": shade(0.9, 0.05, hue) }),
      drawing("stop", { offset: 1, "stop-color": shade(0.95, 0.03, hue + 50) }),
    ),
    drawing("rect", { width: WIDTH, height: HEIGHT, fill: `url(#${sky})` }),
    drawing("circle", { ...sun, fill: SUN }),
    ...Array.from({ length: LAYERS }, (_, layer) =>
      drawing("path", { d: hills(layer, draw), fill: shade(0.8 - 0.13 * layer, 0.06 + 0.012 * layer, hue + 12 * layer) }),
    ),
    drawing("text", { x: 18, y: HEIGHT - 20, class: "picture-monogram" }, monogram(kind || item.id)),
  );
}

/** @param {number} layer @param {() => number} draw */
function hills(layer, draw) {
  const middle = HEIGHT * (0.52 + 0.16 * layer);
  const [far, near] = [draw() * 6.28, draw() * 6.28];
  const [slow, quick] = [1.2 + draw() * 1.4, 2.6 + draw() * 2];
  const points = Array.from({ length: 33 }, (_, step) => {
    const x = step / 32;
    const y = middle - 24 * Math.sin(slow * 3.14 * x + far) - 9 * Math.sin(quick * 3.14 * x + near);
    return `${(x * WIDTH).toFixed(1)} ${y.toFixed(1)}`;
  });
  return `M0 ${HEIGHT}L${points.join("L")}L${WIDTH} ${HEIGHT}Z`;
}

/** @param {number} lightness @param {number} chroma @param {number} hue */
const shade = (lightness, chroma, hue) => `oklch(${lightness.toFixed(3)} ${chroma.toFixed(3)} ${(hue % 360).toFixed(1)})`;

/** @param {string} text */
function monogram(text) {
  const letters = text.split(/[^\p{L}\p{N}]+/u).filter(Boolean).map((word) => [...word][0]);
  return letters.slice(0, 2).join("").toUpperCase();
}

/** Numbers from 0 to 1 that depend on the text alone (FNV-1a, then mulberry32). @param {string} text */
function dice(text) {
  let seed = 0x811c9dc5;
  for (const character of text) seed = Math.imul(seed ^ /** @type {number} */ (character.codePointAt(0)), 0x01000193);
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
