/** What stands in for a server where a test is about the client alone: answers in a row, pauses that take no time. */

import { GemserveClient, type ClientOptions } from "../src/index.js";

export const ANSWER = {
  request_id: "r1",
  items: [{ id: "A", title: "Tent", score: -1.5, relevance: 1, price: 80 }],
  next_cursor: null,
  model: "m1",
  catalog_version: 3,
  took_ms: 1.25,
  degraded: false,
};

export interface Asked {
  url: string;
  method: string | undefined;
  headers: Record<string, string>;
  body: string | undefined;
}

type Outcome = () => Response | Promise<Response>;

export class Shop {
  readonly asked: Asked[] = [];
  readonly pauses: number[] = [];
  readonly #outcomes: Outcome[];

  constructor(...outcomes: Outcome[]) {
    this.#outcomes = outcomes;
  }

  client(options: ClientOptions = {}): GemserveClient {
    return new GemserveClient("http://shop/api/", {
      fetch: async (url, init) => this.#answer(String(url), init ?? {}),
      sleep: async (milliseconds) => void this.pauses.push(milliseconds),
      random: () => 0.5,
      ...options,
    });
  }

  sent(request = 0): unknown {
    return JSON.parse(this.asked[request]?.body ?? "null");
  }

  async #answer(url: string, init: RequestInit): Promise<Response> {
    const outcome = this.#outcomes[Math.min(this.asked.length, this.#outcomes.length - 1)];
    const headers = init.headers as Record<string, string>;
    this.asked.push({ url, method: init.method, headers, body: init.body as string | undefined });
    if (outcome === undefined) throw new Error("no outcome was given");
    return outcome();
  }
}

export function json(body: unknown, status = 200): Outcome {
  return () => Response.json(body, { status });
}

export function text(body: string, status = 200): Outcome {
  return () => new Response(body, { status });
}

export function problem(status: number, code: string, more: object = {}, headers: Record<string, string> = {}): Outcome {
  const body = { status, code, title: "T", detail: `because of ${code}`, request_id: "r9", ...more };
  return () => new Response(JSON.stringify(body), { status, headers });
}

export function broken(): Response {
  throw new TypeError("fetch failed", { cause: new Error("ECONNRESET") });
}

export async function collect<T>(rows: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const row of rows) all.push(row);
  return all;
}
