/** When the client tries again, how long it waits, what ends it, and what it throws then. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { GemserveClient } from "../src/index.js";
import { Attempts, RETRIES, retryAfter } from "../src/retries.js";
import { GemserveError } from "../src/errors.js";
import { sleep } from "../src/timeouts.js";
import { ANSWER, Shop, broken, json, problem } from "./shop.js";

const busy = problem(503, "not_ready");
const limited = problem(429, "rate_limited");

test("a server that is busy for a moment is asked again with the same id", async () => {
  const shop = new Shop(busy, limited, broken, json(ANSWER));
  assert.equal((await shop.client().search("tent")).model, "m1");
  assert.deepEqual(shop.pauses, [50, 100, 200]);
  assert.equal(new Set(shop.asked.map((asked) => asked.headers["X-Request-ID"])).size, 1);
});

test("a key that cannot be one is told plainly and without being repeated", () => {
  for (const key of ["gsk_…", "gsk_a b", "gsk_a\n"]) {
    assert.throws(
      () => new GemserveClient("http://shop", { key }),
      (error: unknown) =>
        error instanceof GemserveError &&
        error.code === "invalid_key" &&
        error.message.includes("which no key has") &&
        !error.message.includes("gsk_"),
    );
  }
});

test("it gives up after so many attempts", async () => {
  const shop = new Shop(busy);
  await assert.rejects(shop.client({ retries: { attempts: 3 } }).search("tent"), { status: 503, code: "not_ready" });
  assert.equal(shop.asked.length, 3);
});

test("what the server says about the wait comes on top of the random part", async () => {
  const shop = new Shop(problem(429, "rate_limited", {}, { "Retry-After": "2" }), json(ANSWER));
  await shop.client().search("tent");
  assert.deepEqual(shop.pauses, [2_050]);
});

test("a wait beyond the total time is not begun", async () => {
  const shop = new Shop(problem(429, "rate_limited", {}, { "Retry-After": "31" }), json(ANSWER));
  await assert.rejects(shop.client().search("tent"), { status: 429, retryAfter: 31 });
  assert.deepEqual(shop.pauses, []);
});

test("the total time counts from the first attempt", () => {
  const times = [0, 20_000, 30_000];
  const attempts = new Attempts(RETRIES, "harmless", () => times.shift()!, () => 0.5);
  const error = new GemserveError("busy", { code: "not_ready", status: 503, requestId: "r" });
  assert.equal(attempts.pauseAfter(error), 50);
  assert.throws(() => attempts.pauseAfter(error), error);
});

test("a pause is never over its limit", () => {
  const error = new GemserveError("busy", { code: "not_ready", status: 503, requestId: "r" });
  const retries = { ...RETRIES, attempts: 2_000, totalMs: Infinity };
  const attempts = new Attempts(retries, "harmless", () => 0, () => 1);
  for (let i = 0; i < 1_500; i += 1) assert(attempts.pauseAfter(error) <= retries.longestMs);
});

for (const [name, outcome, attempts] of [["503", busy, 1], ["broken", broken, 1], ["429", limited, 4]] as const) {
  test(`what is not harmless twice is only repeated where it was surely not done: ${name}`, async () => {
    const shop = new Shop(outcome);
    await assert.rejects(shop.client().createKey("shop", ["read"]), GemserveError);
    assert.equal(shop.asked.length, attempts);
  });
}

for (const status of [422, 500, 504]) {
  test(`what will not be better is not repeated: ${status}`, async () => {
    const shop = new Shop(problem(status, "x"));
    await assert.rejects(shop.client().search("tent"), { status });
    assert.equal(shop.asked.length, 1);
  });
}

test("readiness is about now", async () => {
  const shop = new Shop(busy);
  await assert.rejects(shop.client().ready(), { status: 503 });
  assert.equal(shop.asked.length, 1);
});

test("a broken connection says how", async () => {
  const shop = new Shop(broken);
  await assert.rejects(shop.client().search("tent"), { code: "connection_failed", status: undefined, detail: /ECONNRESET/ });
});

/** Never answers, and ends when it is told to. */
const silent: typeof fetch = (_, init) =>
  new Promise((_resolve, reject) => init?.signal?.addEventListener("abort", () => reject(init.signal?.reason)));

test("an answer that does not come in time is an error, and not asked for again", async () => {
  const client = new GemserveClient("http://shop", { fetch: silent, timeoutMs: 5 });
  await assert.rejects(client.search("tent"), { code: "timed_out" });
});

test("a signal ends a request with its own reason", async () => {
  const client = new GemserveClient("http://shop", { fetch: silent });
  const controller = new AbortController();
  const asked = client.search("tent", {}, { signal: controller.signal });
  const reason = new Error("typed on");
  controller.abort(reason);
  await assert.rejects(asked, reason);
  await assert.rejects(client.search("tent", {}, { signal: controller.signal }), reason);
});

test("a request goes on without its page only where that is asked for", async () => {
  const inits: RequestInit[] = [];
  const fetch = async (_url: unknown, init?: RequestInit) => (inits.push(init ?? {}), Response.json({ accepted: [], rejected: [] }));
  const client = new GemserveClient("http://shop", { fetch });
  await client.sendEvents([], { keepalive: true });
  await client.sendEvents([{ user_id: "a", item_id: "b", type: "click" }], { keepalive: true });
  await client.sendEvents([{ user_id: "a", item_id: "b", type: "click" }]);
  assert.deepEqual(inits.map((init) => init.keepalive), [true, undefined]);
});

test("a signal ends a pause", async () => {
  const controller = new AbortController();
  const waiting = sleep(1_000_000, controller.signal);
  controller.abort(new Error("typed on"));
  await assert.rejects(waiting, /typed on/);
});

test("Retry-After has seconds or a date", () => {
  assert.equal(retryAfter(null), undefined);
  assert.equal(retryAfter("3"), 3);
  assert.equal(retryAfter("soon"), undefined);
  const soon = retryAfter(new Date(Date.now() + 60_000).toUTCString());
  assert(soon !== undefined && soon > 50 && soon <= 60);
});
