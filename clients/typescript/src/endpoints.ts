/** Every request that the client can make, as data: where it goes, and whether it may be repeated. */

import { randomId } from "./ids.js";
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

/** A path of plain words and names, the names quoted: path`/items/${id}`. */
export function path(words: TemplateStringsArray, ...names: (string | number)[]): string {
  return String.raw({ raw: words }, ...names.map(encodeURIComponent));
}

export function ask(question: Question): Call {
  const { kind, ...parameters } = question;
  if (kind !== "similar") return { method: "POST", path: `/${kind}`, body: parameters };
  const { item, ...rest } = question;
  return { method: "GET", path: path`/items/${item}/similar` + query({ ...rest, kind: undefined }) };
}

/** The question for the next page, if there is one. */
export function following(question: Question, answer: Answer): Question | undefined {
  return typeof answer.next_cursor === "string" ? { ...question, cursor: answer.next_cursor } : undefined;
}

/** A call that loads a model. While a first attempt may still be at it, a second would only be told that it is. */
export function loading(method: "POST" | "PUT", where: string, body?: unknown): Call {
  return { method, path: where, body, repeat: "undone", timeoutMs: ACTIVATION_MS };
}

/** The same event with an id: the server counts an id once, so it may be sent again after an error. */
export function newEvent(event: Event): Event & { event_id: string } {
  return { ...event, event_id: event.event_id ?? randomId() };
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
