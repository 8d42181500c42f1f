/** Many questions or items in one request: lines of JSON out, and lines of JSON back, each as soon as it is made. */

import { GemserveError, isRecord, parseJson, problemError } from "./errors.js";
import { parametersOf, query, type Call } from "./endpoints.js";
import { exactText } from "./json.js";
import { invalid, isIterable, plainMembers, shown } from "./plain.js";
import type { Answer, BatchResult, ExportParameters, ImportOptions, ImportResult, Item, Question } from "./types.js";

export const MAX_LINES = 10_000; // of one request

/** One request's questions, and what is still to come for them. */
export class Batch {
  readonly #questions: readonly Question[];
  readonly #start: number;
  readonly #waiting: Set<number>;
  readonly #decoder = new TextDecoder();
  #rest = "";

  constructor(questions: readonly Question[], start: number) {
    this.#questions = questions;
    this.#start = start;
    this.#waiting = new Set(questions.keys());
  }

  call(ordered: boolean): Call {
    const path = ordered ? "/batch?ordered=true" : "/batch";
    return { method: "POST", path, lines: this.#questions.map((question, i) => this.#line(question, i)).join("\n") };
  }

  #line(question: Question, index: number): string {
    try {
      return exactText(parametersOf(question));
    } catch (cause) {
      if (!(cause instanceof GemserveError)) throw cause;
      throw invalid(`question ${this.#start + index}: ${cause.detail}`, cause);
    }
  }

  /** The results that a chunk of the answer completes. */
  *take(chunk: Uint8Array, requestId: string): Generator<BatchResult> {
    const lines = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) if (line.trim() !== "") yield this.#result(line, requestId);
  }

  /** Throws where the answer ended before everything was answered. */
  end(requestId: string): void {
    if (this.#waiting.size === 0 && this.#rest.trim() === "") return;
    throw new GemserveError(`the answer ended while ${this.#waiting.size} questions were not answered`, {
      code: "connection_failed",
      requestId,
    });
  }

  #result(line: string, requestId: string): BatchResult {
    const row = parseJson(line, requestId);
    const index = isRecord(row) ? row["index"] : undefined;
    if (!isRecord(row) || typeof index !== "number" || !this.#waiting.delete(index)) {
      throw new GemserveError(`a line of a batch answers no question: ${line.slice(0, 200)}`, {
        code: "unexpected_answer",
        requestId,
      });
    }
    const place = { index: this.#start + index, question: this.#questions[index] as Question };
    if (isRecord(row["answer"])) return { ...place, answer: row["answer"] as Answer };
    const problem = row["problem"];
    const status = isRecord(problem) && typeof problem["status"] === "number" ? problem["status"] : 500;
    return { ...place, error: problemError(status, problem, requestId) };
  }
}

/** One for every 10,000 questions, taken when its turn comes. */
export async function* batches(questions: Iterable<Question> | AsyncIterable<Question>): AsyncGenerator<Batch> {
  const later = (questions as Partial<AsyncIterable<Question>> | null | undefined)?.[Symbol.asyncIterator];
  if (!isIterable(questions) && typeof later !== "function") {
    throw invalid(`questions is no list, ${shown(questions)}: give a list`);
  }
  let part: Question[] = [];
  let start = 0;
  for await (const question of questions) {
    part.push(question);
    if (part.length < MAX_LINES) continue;
    yield new Batch(part, start);
    start += part.length;
    part = [];
  }
  if (part.length > 0) yield new Batch(part, start);
}

/** The lines of an answer that comes in chunks. */
export class Lines {
  readonly #decoder = new TextDecoder();
  #rest = "";

  take(chunk: Uint8Array): string[] {
    const lines = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split("\n");
    this.#rest = lines.pop() ?? "";
    return lines.filter((line) => line.trim() !== "");
  }

  /** Throws where the answer ended in the middle of a line, or with so many items unanswered. */
  end(requestId: string, unanswered = 0): void {
    if (unanswered === 0 && this.#rest.trim() === "") return;
    const detail = `the answer ended early: ${unanswered} items were not answered, send them again`;
    throw new GemserveError(detail, { code: "connection_failed", requestId });
  }
}

/** One request's items, and what is still to come for them. */
export class Import {
  readonly #records: readonly unknown[];
  readonly #start: number;
  readonly #lines = new Lines();
  #answered = 0;

  constructor(records: readonly unknown[], start: number) {
    this.#records = records;
    this.#start = start;
  }

  call({ action = "upsert", dryRun = false }: ImportOptions): Call {
    const lines = this.#records.map((record, i) => exactText(plainMembers(record, `item ${this.#start + i}`)));
    const path = `/items/import${query({ action, dry_run: dryRun ? true : undefined })}`;
    return { method: "POST", path, lines: lines.join("\n"), repeat: action === "create" ? "undone" : "harmless" };
  }

  /** For synonyms and overrides, which are written whole. */
  callOf(path: string): Call {
    const lines = this.#records.map((record, i) => exactText(plainMembers(record, `line ${this.#start + i}`)));
    return { method: "POST", path, lines: lines.join("\n"), repeat: "harmless" };
  }

  /** The results that a chunk of the answer completes. */
  *take(chunk: Uint8Array, requestId: string): Generator<ImportResult> {
    for (const line of this.#lines.take(chunk)) yield this.#result(line, requestId);
  }

  /** Throws where the answer ended before everything was answered. */
  end(requestId: string): void {
    this.#lines.end(requestId, this.#records.length - this.#answered);
  }

  #result(line: string, requestId: string): ImportResult {
    const row = parseJson(line, requestId);
    if (!isRecord(row) || row["index"] !== this.#answered || !("result" in row || "problem" in row)) {
      const detail = `a line of an import answers no item: ${line.slice(0, 200)}`;
      throw new GemserveError(detail, { code: "unexpected_answer", requestId });
    }
    const place = { index: this.#start + this.#answered++, id: typeof row["id"] === "string" ? row["id"] : null };
    const problem = row["problem"];
    if (problem === undefined) return { ...place, result: row["result"] as NonNullable<ImportResult["result"]> };
    const status = isRecord(problem) && typeof problem["status"] === "number" ? problem["status"] : 500;
    return { ...place, error: problemError(status, problem, requestId) };
  }
}

/** One for every 10,000 items, taken when its turn comes. */
export async function* imports(records: Iterable<unknown> | AsyncIterable<unknown>): AsyncGenerator<Import> {
  const later = (records as Partial<AsyncIterable<unknown>> | null | undefined)?.[Symbol.asyncIterator];
  if (!isIterable(records) && typeof later !== "function") {
    throw invalid(`records is no list, ${shown(records)}: give a list`);
  }
  let part: unknown[] = [];
  let start = 0;
  for await (const record of records) {
    part.push(record);
    if (part.length < MAX_LINES) continue;
    yield new Import(part, start);
    start += part.length;
    part = [];
  }
  if (part.length > 0) yield new Import(part, start);
}

export function exporting(parameters: ExportParameters): Call {
  return { method: "GET", path: `/items/export${query({ ...parameters })}` };
}

export function itemOf(line: string, requestId: string): Item {
  return parseJson(line, requestId) as Item;
}
