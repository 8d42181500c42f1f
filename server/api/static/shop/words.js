/** Numbers and moments as people read them. */

const PRICE = new Intl.NumberFormat(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const WHOLE = new Intl.NumberFormat();
const AGO = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60]];

/** @param {number} price  The catalog names no currency, so none is shown. */
export const priceInWords = (price) => PRICE.format(price);

/** @param {import("./types.js").PriceRange} range  null for an end that is open */
export function priceRangeInWords({ min, max }) {
  const [low, high] = [min, max].map((price) => (price === null ? null : priceInWords(price)));
  if (low === null) return `Price up to ${high}`;
  return high === null ? `Price from ${low}` : `Price ${low} to ${high}`;
}

/** A column's name as a heading: `main_colour` becomes "Main colour". @param {string} column */
export function columnInWords(column) {
  const words = column.replaceAll(/[_.]+/g, " ").trim() || column;
  return words[0].toUpperCase() + words.slice(1);
}

/** @param {number} count */
export const countInWords = (count) => WHOLE.format(count);

/** @param {number} milliseconds */
export function duration(milliseconds) {
  if (milliseconds >= 1_000) return `${(milliseconds / 1_000).toFixed(1)} s`;
  return `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
}

/** @param {number} share  0 to 1 */
export function percent(share) {
  const hundredths = share * 100;
  if (hundredths > 0 && hundredths < 0.1) return "< 0.1%";
  return `${hundredths >= 10 ? Math.round(hundredths) : hundredths.toFixed(1)}%`;
}

/** @param {number} timestamp  Unix milliseconds */
export function ago(timestamp) {
  const seconds = Math.max(0, (Date.now() - timestamp) / 1000);
  for (const [unit, length] of UNITS) {
    if (seconds >= length) return AGO.format(-Math.round(seconds / length), unit);
  }
  return "just now";
}

/** @param {import("./types.js").Item} item  Some items have no title; their id still tells them apart. */
export const nameOf = (item) => item.title ?? item.id;
