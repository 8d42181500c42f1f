/**
 * JSON whose whole numbers keep their digits.
 *
 * `JSON.parse` makes 9007199254740993 the number 9007199254740992 and `JSON.stringify` throws at a BigInt. Here a whole
 * number beyond ±(2^53 - 1) is a BigInt, both ways; every other value is what `JSON` makes of it.
 */

import { randomId } from "./ids.js";

const MAYBE_LARGE = /(?:^|[:,[\s])-?\d{16}/;
const TEXT_OR_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const WHOLE = /^-?\d{16,}$/;

/** Throws a SyntaxError for what is no JSON. */
export function parseExact(text: string): unknown {
  if (!MAYBE_LARGE.test(text)) return JSON.parse(text);
  const mark = `${randomId()}:`; // which no text of the answer begins with
  const marked = text.replace(TEXT_OR_NUMBER, (token) =>
    WHOLE.test(token) && !Number.isSafeInteger(Number(token)) ? `"${mark}${token}"` : token,
  );
  if (marked === text) return JSON.parse(text);
  return JSON.parse(marked, (_, value: unknown) =>
    typeof value === "string" && value.startsWith(mark) ? BigInt(value.slice(mark.length)) : value,
  );
}

/** The text of a value as `plain` makes it, its BigInts as numbers of all their digits. */
export function exactText(value: unknown): string {
  const mark = `${randomId()}:`;
  let large = false;
  const text = JSON.stringify(value, (_, member: unknown) => {
    if (typeof member !== "bigint") return member;
    large = true;
    return `${mark}${member}`;
  });
  return large ? text.replace(new RegExp(`"${mark}(-?\\d+)"`, "g"), "$1") : text;
}
