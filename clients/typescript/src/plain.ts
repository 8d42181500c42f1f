/**
 * Values as JSON has them, made of what programs hold: dates, sets, maps, big integers, typed arrays, generators.
 *
 * What has one clear meaning is converted; for anything else, which `JSON.stringify` would drop, make null or throw at, a
 * GemserveError with the code `invalid_argument` names its place.
 */

import { GemserveError } from "./errors.js";

export type Plain = null | boolean | number | bigint | string | Plain[] | { [name: string]: Plain };

const MAX_ELEMENTS = 1_000_000; // of one list, so that an endless generator ends
const MAX_DEPTH = 32;
const MIN_WHOLE = -(2n ** 63n); // what columns of whole numbers hold
const MAX_WHOLE = 2n ** 64n - 1n;
const LONE_SURROGATE = /\p{Surrogate}/u;
const WITHOUT_MEMBERS = [Promise, RegExp, Error, WeakMap, WeakSet, ArrayBuffer, DataView];

export function plain(value: unknown, where: string): Plain {
  return convert(value, where, 0);
}

/** An id: text, or a whole number. A big integer is the text of its digits where JSON's numbers are too small for it. */
export function plainId(value: unknown, where: string): string | number {
  return guarded(() => readId(value, where), where);
}

function readId(value: unknown, where: string): string | number {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  const list = typeof value === "object" && isIterable(value) && !(value instanceof String);
  const found = value instanceof Date || list ? undefined : plain(value, where);
  if (typeof found === "string" || Number.isSafeInteger(found)) return found as string | number;
  if (typeof found === "number" && Number.isInteger(found)) {
    throw invalid(`${where} is ${found}, which has lost digits as a number: give a text or a BigInt`);
  }
  throw invalid(`${where} is no id, ${shown(value)}: give text or a whole number`);
}

/** The same for an address. */
export function idText(value: unknown, where: string): string {
  return String(plainId(value, where));
}

/** Unix milliseconds of a Date; numbers and text as they are, for the server to read. */
export function plainTime(value: unknown, where: string): Plain {
  const time = guarded(() => (value instanceof Date ? value.getTime() : undefined), where);
  if (time === undefined) return plain(value, where);
  if (Number.isNaN(time)) throw invalid(`${where} is an invalid Date: give another, or leave it out`);
  return time;
}

/** Every element of a list, set, generator or typed array, which `element` converts; a text as it is. */
export function plainList(
  value: unknown,
  where: string,
  element: (value: unknown, where: string) => Plain = plain,
): Plain {
  if (typeof value === "string") return plain(value, where);
  return elements(value, where).map((each, index) => element(each, `${where}[${index}]`));
}

/** The members of an object or a Map, without those that are undefined. */
export function members(value: unknown, where: string): Record<string, unknown> {
  return guarded(() => {
    if (typeof value !== "object" || value === null || (isIterable(value) && !(value instanceof Map))) {
      throw invalid(`${where} is no object, ${shown(value)}`);
    }
    if (WITHOUT_MEMBERS.some((kind) => value instanceof kind) || value instanceof Date || value instanceof WeakRef) {
      throw invalid(`${where} is no object with members, ${shown(value)}`);
    }
    const pairs: [unknown, unknown][] = value instanceof Map ? [...value.entries()] : Object.entries(value);
    const wrong = pairs.find(([name]) => typeof name !== "string");
    if (wrong !== undefined) throw invalid(`${where} has the name ${shown(wrong[0])}: names are text`);
    return Object.fromEntries(pairs.filter(([, member]) => member !== undefined)) as Record<string, unknown>;
  }, where);
}

/** An object, or a Map, of whatever members. */
export function plainRecord(value: unknown, where: string): Plain {
  return plain(members(value, where), where);
}

/** An object whose members `readers` convert by name, and `plain` the others. */
export function plainMembers(
  value: unknown,
  where: string,
  readers: Readonly<Record<string, (value: unknown, where: string) => Plain>> = {},
): Record<string, Plain> {
  const named = Object.entries(members(value, where)).map(([name, member]) => {
    const reader = member !== null && Object.hasOwn(readers, name) ? readers[name] : undefined;
    return [text(name, `a name in ${where}`), (reader ?? plain)(member, name)];
  });
  return Object.fromEntries(named) as Record<string, Plain>;
}

export function elements(value: unknown, where: string): unknown[] {
  const listed = guarded(() => isIterable(value) && typeof value !== "string" && !(value instanceof Map), where);
  if (!listed || !isIterable(value)) {
    throw invalid(`${where} is no list, ${shown(value)}: give a list`);
  }
  const found: unknown[] = []; // what a generator throws is its maker's own
  for (const element of value) {
    if (found.push(element) > MAX_ELEMENTS) throw invalid(`${where} has over ${MAX_ELEMENTS} elements: give fewer`);
  }
  return found;
}

export function isIterable(value: unknown): value is Iterable<unknown> {
  return value !== null && value !== undefined && typeof (value as never)[Symbol.iterator] === "function";
}

export function invalid(detail: string, cause?: unknown): GemserveError {
  return new GemserveError(detail, { code: "invalid_argument", cause });
}

/** A value as messages show it, shortened. */
export function shown(value: unknown): string {
  try {
    const named = typeof value === "object" && value !== null ? (value.constructor?.name ?? "object") : String(value);
    return `${typeof value} ${named.slice(0, 60)}`;
  } catch {
    return typeof value;
  }
}

function convert(value: unknown, where: string, depth: number): Plain {
  return guarded(() => convertValue(value, where, depth), where);
}

function convertValue(value: unknown, where: string, depth: number): Plain {
  if (depth > MAX_DEPTH) throw invalid(`${where} has more than ${MAX_DEPTH} lists and objects in each other`);
  switch (typeof value) {
    case "boolean":
      return value;
    case "string":
      return text(value, where);
    case "number":
      if (Number.isFinite(value)) return value;
      throw invalid(`${where} is ${value}, which JSON has no word for: give a number, or leave it out`);
    case "bigint":
      if (Number.isSafeInteger(Number(value))) return Number(value);
      if (value >= MIN_WHOLE && value <= MAX_WHOLE) return value;
      throw invalid(`${where} is ${shown(value)}, too large for any column: give it as text`);
    case "object":
      return value === null ? null : convertObject(value, where, depth);
    default:
      throw invalid(`${where} is ${shown(value)}, which JSON has no word for: leave it out, or give null`);
  }
}

function convertObject(value: object, where: string, depth: number): Plain {
  if (value instanceof Number || value instanceof String || value instanceof Boolean) {
    return convert(value.valueOf(), where, depth);
  }
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw invalid(`${where} is an invalid Date: give another, or leave it out`);
    return value.toISOString();
  }
  if ("toJSON" in value && typeof value.toJSON === "function") return convert(value.toJSON(), where, depth + 1);
  if (isIterable(value) && !(value instanceof Map)) {
    return elements(value, where).map((each, index) => convert(each, `${where}[${index}]`, depth + 1));
  }
  const named = Object.entries(members(value, where));
  return Object.fromEntries(
    named.map(([name, member]) => [text(name, `a name in ${where}`), convert(member, `${where}.${name}`, depth + 1)]),
  );
}

function text(value: string, where: string): string {
  if (!LONE_SURROGATE.test(value)) return value;
  throw invalid(`${where} has half of a surrogate pair, which is no character: remove it`);
}

/** What `read` returns; a GemserveError for whatever a value's own methods throw. */
export function guarded<T>(read: () => T, where: string): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof GemserveError) throw cause;
    throw invalid(`${where} cannot be sent: ${shown(cause)}`, cause);
  }
}
