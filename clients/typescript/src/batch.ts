/** Many questions in one request: lines of JSON out, and lines of JSON back, each as soon as it is answered. */

import { GemserveError, isRecord, parseJson, problemError } from "./errors.js";
import { parametersOf, type Call } from "./endpoints.js";
import { exactText } from "./json.js";
import { invalid, isIterable, shown } from "./plain.js";
import type { Answer, BatchResult, Question } from "./types.js";

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
