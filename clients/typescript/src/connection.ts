/** One server as `fetch` sees it: calls go out with key, id, timeout and retries, and JSON or an error comes back. */

import type { Call } from "./endpoints.js";
import { GemserveError, parseJson, problemError } from "./errors.js";
import { randomId } from "./ids.js";
import { exactText, parseExact } from "./json.js";
import { invalid, shown } from "./plain.js";
import { Attempts, RETRIES, retryAfter, type Retries } from "./retries.js";
import { InactivityTimeout, sleep } from "./timeouts.js";

const TIMEOUT_MS = 35_000; // a server gives up on an answer after 30 seconds unless it was told otherwise
const MIN_COMPRESSED = 1_000; // characters of a body that is worth it
const JSON_TYPE = "application/json";
const LINES_TYPE = "application/x-ndjson";

export interface ClientOptions {
  /** `gsk_…`, where the server wants one. */
  key?: string;
  /** The longest wait for an answer, or for more of a batch; 35,000 unless given. */
  timeoutMs?: number;
  retries?: Partial<Retries>;
  /** Sends large bodies, such as batches, with gzip; answers are compressed either way. */
  compress?: boolean;
  /** Names the next request, which the server writes into its log and its answer. */
  requestId?: () => string;
  /** In place of the global one; `sleep`, `random` and `now` are for tests. */
  fetch?: typeof globalThis.fetch;
  sleep?: (milliseconds: number, signal?: AbortSignal) => Promise<void>;
  random?: () => number;
  now?: () => number;
}

export interface CallOptions {
  /** Ends the call: the promise rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Goes on when the page is left, as for an event of a click that leads away; browsers send 64 KiB so at most. */
  keepalive?: boolean | undefined;
}

export class Connection {
  readonly url: string;
  readonly #headers: Record<string, string>;
  readonly #timeoutMs: number;
  readonly #retries: Retries;
  readonly #compress: boolean;
  readonly #requestId: () => string;
  readonly #fetch: typeof globalThis.fetch;
  readonly #sleep: (milliseconds: number, signal?: AbortSignal) => Promise<void>;
  readonly #random: () => number;
  readonly #now: () => number;

  constructor(url: string, options: ClientOptions) {
    if (typeof url !== "string") throw invalid(`url is ${shown(url)}: give the server's address as text`);
    const strangeEnd = /[?#]/.exec(url);
    if (strangeEnd !== null) {
      const advice = "give the server's address with its path alone, such as https://shop.example/gemserve";
      throw invalid(`url has ${strangeEnd[0]} in it: ${advice}`);
    }
    this.url = url.trim().replace(/\/+$/, "");
    const strange = /[^!-~]/u.exec(options.key ?? "");
    if (strange !== null) {
      const advice = "give it whole, as `gemserve keys create` printed it";
      const detail = `the key has ${JSON.stringify(strange[0])} in it, which no key has: ${advice}`;
      throw new GemserveError(detail, { code: "invalid_key" });
    }
    this.#headers = options.key === undefined ? {} : { Authorization: `Bearer ${options.key}` };
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    this.#retries = { ...RETRIES, ...options.retries };
    this.#compress = options.compress ?? false;
    this.#requestId = options.requestId ?? randomId;
    this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
    this.#sleep = options.sleep ?? sleep;
    this.#random = options.random ?? Math.random;
    this.#now = options.now ?? (() => performance.now());
  }

  /** The answer's JSON; undefined for an empty body. */
  send(call: Call, options: CallOptions = {}): Promise<unknown> {
    return this.#attempt(call, options, async ({ response, requestId, timeout }) => {
      const text = await response.text();
      timeout.end();
      return text === "" ? undefined : parseJson(text, requestId);
    });
  }

  /** The bytes of an answer as they come, each with the request's id. Leaving the loop ends the request. */
  async *stream(call: Call, options: CallOptions = {}): AsyncGenerator<[Uint8Array, string]> {
    const opened = await this.#attempt(call, options, (answer) => Promise.resolve(answer));
    const { response, requestId, timeout } = opened;
    const reader = response.body?.getReader();
    try {
      while (reader !== undefined) {
        timeout.renew();
        const { done, value } = await reader.read();
        timeout.pause();
        if (done) return;
        yield [value, requestId];
      }
    } catch (cause) {
      throw reasonOf(cause, opened, options.signal);
    } finally {
      timeout.end();
      await reader?.cancel().catch(() => undefined); // of one that broke: its error has been thrown
    }
  }

  async #attempt<T>(call: Call, options: CallOptions, read: (opened: Opened) => Promise<T>): Promise<T> {
    const attempts = new Attempts(this.#retries, call.repeat ?? "harmless", this.#now, this.#random);
    const requestId = this.#requestId();
    for (;;) {
      const timeout = new InactivityTimeout(call.timeoutMs ?? this.#timeoutMs, options.signal);
      let reason: unknown;
      try {
        const request = { ...this.#request(call, requestId, timeout.signal), ...(options.keepalive && { keepalive: true }) };
        const large = this.#compress && (request.body?.length ?? 0) >= MIN_COMPRESSED;
        const response = await this.#fetch(this.url + call.path, large ? await compressed(request) : request);
        if (response.ok) return await read({ response, requestId, timeout });
        const after = retryAfter(response.headers.get("Retry-After"));
        reason = problemError(response.status, await jsonOf(response), requestId, after);
      } catch (cause) {
        reason = reasonOf(cause, { requestId, timeout }, options.signal);
      }
      timeout.end();
      if (!(reason instanceof GemserveError)) throw reason;
      await this.#sleep(attempts.pauseAfter(reason), options.signal);
    }
  }

  #request(call: Call, requestId: string, signal: AbortSignal): TextRequest {
    const type = call.lines === undefined ? JSON_TYPE : LINES_TYPE;
    const body = call.lines ?? (call.body === undefined ? undefined : exactText(call.body));
    const headers = { ...this.#headers, Accept: type, "X-Request-ID": requestId };
    if (body === undefined) return { method: call.method, headers, signal };
    return { method: call.method, headers: { ...headers, "Content-Type": type }, body, signal };
  }
}

interface TextRequest extends RequestInit {
  headers: Record<string, string>;
  body?: string;
}

/** The same request with its body in gzip. */
async function compressed(request: TextRequest): Promise<RequestInit> {
  const packed = new Blob([request.body ?? ""]).stream().pipeThrough(new CompressionStream("gzip"));
  const headers = { ...request.headers, "Content-Encoding": "gzip" };
  return { ...request, headers, body: await new Response(packed).arrayBuffer() };
}

interface Opened {
  response: Response;
  requestId: string;
  timeout: InactivityTimeout;
}

/** A problem's JSON; undefined for what something between us and the server has written. */
async function jsonOf(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return parseExact(text);
  } catch {
    return undefined;
  }
}

/** What to throw for what `fetch` threw: the caller's own reason where the caller ended it. */
function reasonOf(
  cause: unknown,
  { requestId, timeout }: Pick<Opened, "requestId" | "timeout">,
  caller: AbortSignal | undefined,
): unknown {
  if (cause instanceof GemserveError) return cause;
  if (caller?.aborted) return caller.reason;
  if (timeout.over) return new GemserveError("no answer in time", { code: "timed_out", requestId, cause });
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  return new GemserveError(`the connection failed: ${String(inner)}`, { code: "connection_failed", requestId, cause });
}
