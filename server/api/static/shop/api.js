/** Talks to the server that this page came from. Every way to fail is an ApiProblem or an Unreachable. */

const KEY = "gemserve.key";

/** The server refused, and said why. */
export class ApiProblem extends Error {
  /**
   * @param {number} status
   * @param {{code?: string, title?: string, detail?: string, position?: number, length?: number, checks?: Record<string, string>, errors?: {field: string, code: string, message: string}[]}} body
   */
  constructor(status, body) {
    super(body.detail ?? body.title ?? `the server answered ${status}`);
    this.status = status;
    this.code = body.code ?? "unknown";
    this.title = body.title ?? "The server could not answer";
    this.position = body.position;
    this.length = body.length;
    this.checks = body.checks;
    this.errors = body.errors ?? []; // what is wrong with which parameter
  }
}

/** No answer came: the network or the server is away. */
export class Unreachable extends Error {
  constructor() {
    super("The server cannot be reached. Check the connection, then try again.");
    this.title = "No connection";
  }
}

export class Api {
  /** @type {Promise<boolean> | null} */
  #asking = null;
  #asked = 0; // how often a person has answered the question for a key, with one or without

  /**
   * @param {object} hooks
   * @param {(timing: import("./types.js").Timing) => void} hooks.onAnswer  after every list of items
   * @param {(problem: ApiProblem) => Promise<string | null>} hooks.askForKey  null: the person has none
   */
  constructor({ onAnswer, askForKey }) {
    this.#onAnswer = onAnswer;
    this.#askForKey = askForKey;
  }

  #onAnswer;
  #askForKey;

  /**
   * A search where the question has a query, else a recommendation.
   * @param {import("./types.js").Question} question
   * @param {AbortSignal} [signal]
   * @returns {Promise<import("./types.js").Answer>}
   */
  answer(question, signal) {
    return this.#timed(`/${question.q === undefined ? "recommend" : "search"}?${parameters(question)}`, signal);
  }

  /**
   * Recommendations that nobody is shown, and whose time does not count.
   * @param {import("./types.js").Question} question
   * @returns {Promise<import("./types.js").Answer>}
   */
  survey(question) {
    return this.request("GET", `/recommend?${parameters(question)}`);
  }

  /**
   * @param {string} id
   * @param {number} k
   * @returns {Promise<import("./types.js").Answer>}
   */
  similar(id, k) {
    return this.#timed(`/items/${encodeURIComponent(id)}/similar?k=${k}`);
  }

  /**
   * For what has been typed so far.
   * @param {{q: string, k: number, filter: string}} question
   * @param {AbortSignal} signal
   * @returns {Promise<import("./types.js").Suggestions>}
   */
  suggest(question, signal) {
    return this.request("GET", `/suggest?${parameters(question)}`, { signal });
  }

  /** @param {string} id @returns {Promise<import("./types.js").Item>} */
  item(id) {
    return this.request("GET", `/items/${encodeURIComponent(id)}`);
  }

  /** @param {string} user @returns {Promise<{events: import("./types.js").Visit[]}>} newest first */
  history(user) {
    return this.request("GET", `/users/${encodeURIComponent(user)}/history?limit=50`);
  }

  /** @param {Record<string, unknown>} event */
  record(event) {
    return this.request("POST", "/events", { body: event });
  }

  /** Makes what a visitor did part of a user's history. @param {string} user @param {string} session */
  merge(user, session) {
    return this.request("POST", `/users/${encodeURIComponent(user)}/merge`, { body: { session } });
  }

  version() {
    return this.request("GET", "/version");
  }

  /** @param {string} address @param {AbortSignal} [signal] */
  async #timed(address, signal) {
    const started = performance.now();
    const answer = await this.request("GET", address, { signal });
    this.#onAnswer({ milliseconds: performance.now() - started, answer });
    return answer;
  }

  /**
   * @param {string} method
   * @param {string} address
   * @param {Options} [options]
   * @returns {Promise<any>}
   */
  async request(method, address, options = {}) {
    return (await this.#respond(method, address, options)).json();
  }

  /**
   * Sends lines of JSON, and reads those that are answered while they come.
   * @param {string} address
   * @param {string} lines
   * @returns {AsyncGenerator<any>}
   */
  async *stream(address, lines) {
    const response = await this.#respond("POST", address, { lines });
    const decoder = new TextDecoder();
    let rest = "";
    const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
    for (;;) {
      const { done, value } = await reader.read().catch(() => {
        throw new Unreachable();
      });
      const found = (rest + decoder.decode(value, { stream: !done })).split("\n");
      rest = done ? "" : /** @type {string} */ (found.pop());
      yield* found.filter((line) => line !== "").map((line) => JSON.parse(line));
      if (done) return;
    }
  }

  /** So that the next refusal asks for another. */
  forgetKey() {
    sessionStorage.removeItem(KEY);
  }

  /**
   * A successful response. A refusal that a person has been asked about since the request went out is not asked again.
   * @param {string} method
   * @param {string} address
   * @param {Options} options
   */
  async #respond(method, address, options) {
    for (;;) {
      const [key, asked] = [sessionStorage.getItem(KEY), this.#asked];
      const response = await send(method, address, key, options);
      if (response.ok) return response;
      const problem = new ApiProblem(response.status, await response.json().catch(() => ({})));
      if (response.status !== 401) throw problem;
      if (sessionStorage.getItem(KEY) !== key) continue;
      if (asked !== this.#asked || !(await this.#newKey(problem))) throw problem;
    }
  }

  /** Asks once, however many requests are refused at the same time. @param {ApiProblem} problem */
  #newKey(problem) {
    this.#asking ??= this.#askForKey(problem).then((key) => {
      if (key !== null) sessionStorage.setItem(KEY, key);
      this.#asked += 1;
      this.#asking = null;
      return key !== null;
    });
    return this.#asking;
  }
}

/** @typedef {{body?: unknown, lines?: string, signal?: AbortSignal}} Options  lines: of JSON, in place of a body */

/**
 * @param {string} method
 * @param {string} address  as the API has it; asked for beside this page, which may lie under a proxy's prefix
 * @param {string | null} key
 * @param {Options} options
 */
async function send(method, address, key, { body, lines, signal }) {
  const headers = new Headers({ Accept: "application/json" });
  if (key !== null) headers.set("Authorization", `Bearer ${key}`);
  const content = body === undefined ? lines : JSON.stringify(body);
  if (content !== undefined) headers.set("Content-Type", body === undefined ? "application/x-ndjson" : "application/json");
  try {
    return await fetch(`.${address}`, { method, headers, signal, body: content });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable();
  }
}

/** @param {object} question */
function parameters(question) {
  const given = Object.entries(question).filter(([, value]) => value !== undefined && value !== "");
  return new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
}
