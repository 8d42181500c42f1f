/**
 * What the person has narrowed the items to: values of columns, a range of prices, an expression. It is written as one
 * filter for the server and as parameters of the page's address: `refine=brand:Norrvik`, `price=10..50`, `filter=…`.
 */

import { address, writeAddress } from "./address.js";

const PLAIN_COLUMN = /^[A-Za-z_][A-Za-z0-9_.]*$/;
const RESERVED = new Set(["and", "or", "not", "in", "contains", "exists", "true", "false"]);

export class Refinements {
  /** @type {Map<string, Set<string>>} the chosen values by column */
  #values = new Map();
  low = NaN;
  high = NaN;
  expression = "";
  #listeners = /** @type {(() => void)[]} */ ([]);

  /** As the page's address has them. */
  constructor() {
    const given = address();
    for (const pair of given.getAll("refine")) {
      const end = pair.indexOf(":");
      if (end > 0) this.#of(pair.slice(0, end)).add(pair.slice(end + 1));
    }
    const [low, high] = (given.get("price") ?? "").split("..");
    this.low = low ? Number(low) : NaN;
    this.high = high ? Number(high) : NaN;
    this.expression = given.get("filter") ?? "";
  }

  /** @param {() => void} listener  called after every change */
  watch(listener) {
    this.#listeners.push(listener);
  }

  /** @param {string} column @param {string} value */
  has(column, value) {
    return this.#values.get(column)?.has(value) ?? false;
  }

  /** @param {string} column */
  chosen(column) {
    return [...(this.#values.get(column) ?? [])];
  }

  /** @returns {[string, string][]} column and value, in the order in which they were chosen */
  get pairs() {
    return [...this.#values].flatMap(([column, values]) => [...values].map((value) => /** @type {[string, string]} */ ([column, value])));
  }

  /** @param {string} column @param {string} value */
  toggle(column, value) {
    const values = this.#of(column);
    if (!values.delete(value)) values.add(value);
    this.#changed();
  }

  /** @param {Partial<{low: number, high: number, expression: string}>} changes  NaN for an end that is open */
  set(changes) {
    Object.assign(this, changes);
    this.#changed();
  }

  clear() {
    this.#values.clear();
    this.set({ low: NaN, high: NaN, expression: "" });
  }

  /** As the server takes it; "" for every item. */
  get filter() {
    const columns = [...this.#values].filter(([, values]) => values.size > 0);
    const conditions = [
      ...columns.map(([column, values]) => `${nameOf(column)} in (${[...values].map(quoted).join(", ")})`),
      !Number.isNaN(this.low) && `price >= ${this.low}`,
      !Number.isNaN(this.high) && `price <= ${this.high}`,
      this.expression && `(${this.expression})`,
    ];
    return conditions.filter(Boolean).join(" and ");
  }

  /** @param {string} column */
  #of(column) {
    const values = this.#values.get(column) ?? new Set();
    this.#values.set(column, values);
    return values;
  }

  #changed() {
    const [low, high] = [this.low, this.high].map((price) => (Number.isNaN(price) ? "" : String(price)));
    writeAddress({
      refine: this.pairs.map((pair) => pair.join(":")),
      price: low || high ? `${low}..${high}` : "",
      filter: this.expression,
    });
    for (const listener of this.#listeners) listener();
  }
}

/** As the filters' grammar writes a column. @param {string} column */
const nameOf = (column) =>
  PLAIN_COLUMN.test(column) && !RESERVED.has(column.toLowerCase()) ? column : `\`${column.replaceAll("`", "``")}\``;

/** As the filters' grammar writes text. @param {string} text */
const quoted = (text) => `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n").replaceAll("\r", "\\r")}"`;
