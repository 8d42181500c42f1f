/** The one error of this client: the server's problems (RFC 9457), and what goes wrong on the way to it. */

import { parseExact } from "./json.js";

export interface FieldError {
  field: string;
  code: string;
  message: string;
}

export interface ErrorFacts {
  code: string;
  status?: number | undefined;
  title?: string | undefined;
  /** Absent where nothing was sent. */
  requestId?: string | undefined;
  errors?: FieldError[] | undefined;
  retryAfter?: number | undefined;
  members?: Record<string, unknown> | undefined;
  cause?: unknown;
}

/**
 * `code` is stable: the server's own, or `connection_failed`, `timed_out`, `unexpected_answer`, `invalid_key` or
 * `invalid_argument` (a value that cannot be sent), which have no `status`. `retryAfter` is in seconds; `members` is all that the server's problem tells.
 */
export class GemserveError extends Error {
  override readonly name = "GemserveError";
  readonly code: string;
  readonly status: number | undefined;
  readonly title: string;
  readonly detail: string;
  readonly requestId: string;
  readonly errors: readonly FieldError[];
  readonly retryAfter: number | undefined;
  readonly members: Readonly<Record<string, unknown>>;

  constructor(detail: string, facts: ErrorFacts) {
    const { code, status, requestId } = facts;
    const answered = status === undefined ? "" : `, status ${status}`;
    const sent = requestId === undefined ? "" : `, request ${requestId}`;
    super(`${detail} (${code}${answered}${sent})`, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = code;
    this.status = status;
    this.title = facts.title ?? "";
    this.detail = detail;
    this.requestId = requestId ?? "";
    this.errors = facts.errors ?? [];
    this.retryAfter = facts.retryAfter;
    this.members = facts.members ?? {};
  }
}

/** The error of a problem's JSON; of `undefined` where something between us and the server has answered. */
export function problemError(
  status: number,
  problem: unknown,
  requestId: string,
  retryAfter?: number | undefined,
): GemserveError {
  const members = isRecord(problem) ? problem : {};
  return new GemserveError(textOf(members["detail"]) ?? "an error that is no problem of a gemserve", {
    code: textOf(members["code"]) ?? "http_error",
    status,
    title: textOf(members["title"]),
    requestId: textOf(members["request_id"]) ?? requestId,
    errors: Array.isArray(members["errors"]) ? (members["errors"] as FieldError[]) : undefined,
    retryAfter,
    members,
  });
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** JSON's value. Throws a GemserveError for what is none. */
export function parseJson(text: string, requestId: string): unknown {
  try {
    return parseExact(text);
  } catch (cause) {
    throw new GemserveError("the answer is no JSON: is this the address of a gemserve?", {
      code: "unexpected_answer",
      requestId,
      cause,
    });
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
