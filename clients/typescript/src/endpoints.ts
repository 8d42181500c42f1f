/** Every request that the client can make, as data: where it goes, and whether it may be repeated. */

import { GemserveError } from "./errors.js";
import { randomId } from "./ids.js";
import {
  elements,
  guarded,
  idText,
  invalid,
  isIterable,
  members,
  plain,
  plainId,
  plainList,
  plainMembers,
  plainTime,
  shown,
  type Plain,
} from "./plain.js";
import type { Repeat } from "./retries.js";
import type { Answer, Event, Question } from "./types.js";

export interface Call {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  path: string;
  body?: unknown;
  /** Lines of JSON, in place of `body`. */
  lines?: string;
  /** harmless where it is not said. */
  repeat?: Repeat;
  /** Instead of the client's own. */
  timeoutMs?: number;
}

export const MAX_EVENTS = 1_000; // of one request
const ACTIVATION_MS = 600_000; // a model of some size takes minutes to load

const SHELVES: readonly unknown[] = ["popular", "trending", "latest"];
const KINDS: readonly unknown[] = ["search", "recommend", "similar", "basket", "browse", "bought_together", ...SHELVES];
const READERS = {
  user: plainId,
  session: plainId,
  user_id: plainId,
  session_id: plainId,
  item: plainId,
  item_id: plainId,
  items: (value: unknown, where: string) => plainList(value, where, plainId),
  candidates: (value: unknown, where: string) => plainList(value, where, plainId),
  fields: plainList,
  facets: plainList,
  override_tags: plainList,
  hidden_hits: (value: unknown, where: string) => plainList(value, where, plainId),
  exclude_seen: (value: unknown, where: string) => (typeof value === "boolean" ? value : plainList(value, where)),
  history: (value: unknown, where: string) => plainList(value, where, visit),
};
const EVENT_READERS = {
  user_id: plainId,
  item_id: plainId,
  event_id: plainId,
  request_id: plainId,
  timestamp: plainTime,
};

/** A path of plain words and names, the names quoted: path`/items/${id}`. */
export function path(words: TemplateStringsArray, ...names: string[]): string {
  return String.raw({ raw: words }, ...names.map(encodeURIComponent));
}

/** What goes over the wire for a question. Throws a GemserveError, which names the parameter, for what cannot. */
export function parametersOf(question: Question): Record<string, Plain> {
  const parameters = plainMembers(question, "the question", READERS);
  if (KINDS.includes(parameters["kind"])) return parameters;
  throw invalid(`kind is ${shown(parameters["kind"])}: give ${KINDS.join(", ")}`);
}

export function ask(question: Question): Call {
  const { kind, ...parameters } = parametersOf(question);
  if (kind === "browse") return { method: "GET", path: "/items" + query(parameters) };
  if (SHELVES.includes(kind)) return { method: "GET", path: `/${String(kind)}` + query(parameters) };
  if (kind === "basket") return { method: "POST", path: "/similar", body: parameters };
  if (kind !== "similar" && kind !== "bought_together") return { method: "POST", path: `/${String(kind)}`, body: parameters };
  const { item, ...rest } = parameters;
  const id = idText(item, "item");
  const to = kind === "similar" ? path`/items/${id}/similar` : path`/items/${id}/bought-together`;
  return { method: "GET", path: to + query(rest) };
}

function isVisit(value: object, where: string): boolean {
  return guarded(() => value instanceof Map || "item_id" in value || "item" in value, where);
}

function visit(value: unknown, where: string): Plain {
  if (typeof value !== "object" || value === null || !isVisit(value, where)) return plainId(value, where);
  const { item_id, item, ...rest } = members(value, where);
  const id = item_id ?? item;
  const name = item_id === undefined && item !== undefined ? "item" : "item_id";
  return { [name]: plainId(id, `${where}.${name}`), ...plainMembers(rest, where) };
}

/** The question for the next page, if there is one. */
export function following(question: Question, answer: Answer): Question | undefined {
  return typeof answer.next_cursor === "string" ? { ...question, cursor: answer.next_cursor } : undefined;
}

/** A call that loads a model. While a first attempt may still be at it, a second would only be told that it is. */
export function loading(method: "POST" | "PUT" | "DELETE", where: string, body?: unknown): Call {
  return { method, path: where, body, repeat: "undone", timeoutMs: ACTIVATION_MS };
}

/** The same event with an id: the server counts an id once, so it may be sent again after an error. */
export function newEvent(event: Event): Event & { event_id: string } {
  return { ...event, event_id: event.event_id ?? randomId() };
}

/** What goes over the wire for an event. Throws a GemserveError, whose `errors` name the member, for what cannot. */
export function eventOf(event: unknown): Record<string, Plain> {
  const given = members(event, "it");
  const row: Record<string, Plain> = {};
  for (const name of new Set(["user_id", "item_id", ...Object.keys(given)])) {
    try {
      if (given[name] === null && name !== "user_id" && name !== "item_id") continue;
      const reader = EVENT_READERS[name as keyof typeof EVENT_READERS] ?? plain;
      row[name] = reader(given[name], name);
    } catch (cause) {
      if (!(cause instanceof GemserveError)) throw cause;
      const fault = { field: name, code: "invalid_argument", message: cause.detail };
      throw new GemserveError(cause.detail, { code: "invalid_argument", errors: [fault], cause });
    }
  }
  return { ...row, event_id: row["event_id"] ?? randomId() };
}

/** The events that were given, one alone too. */
export function eventsOf(events: unknown): unknown[] {
  const alone = events instanceof Map || (typeof events === "object" && events !== null && !isIterable(events));
  return alone ? [events] : elements(events, "events");
}

/** `?name=value…` of what is given, a pair for every element of a list; nothing where nothing is. */
export function query(parameters: Record<string, unknown>): string {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined || value === null) continue;
    for (const element of Array.isArray(value) ? value : [value]) pairs.append(name, String(element));
  }
  return pairs.toString() === "" ? "" : `?${pairs}`;
}

/** The address of a report of analytics; of a Date its day by UTC is sent. */
export function report(name: string, parameters: unknown): string {
  return `/analytics/${name}` + query(plainMembers(parameters, "parameters", { first: day, last: day }));
}

function day(value: unknown, where: string): Plain {
  return value instanceof Date ? new Date(Number(plainTime(value, where))).toISOString().slice(0, 10) : plain(value, where);
}
