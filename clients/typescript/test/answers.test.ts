/** What the client sends, and what it makes of answers, without a network. */

import assert from "node:assert/strict";
import { inspect } from "node:util";
import { test } from "node:test";

import { GemserveError, newEvent, type Question } from "../src/index.js";
import { ANSWER, Shop, collect, json, problem, text } from "./shop.js";

const KEY = "gsk_abc_0123456789secret";

test("a question is sent as it was asked", async () => {
  const shop = new Shop(json(ANSWER));
  const client = shop.client({ key: KEY, requestId: () => "mine-1" });
  const answer = await client.search("tent", { user: "ann", k: 3, fields: ["price"] });
  assert.equal(answer.items[0]?.["price"], 80);
  assert.deepEqual(shop.sent(), { q: "tent", user: "ann", k: 3, fields: ["price"] });
  const { url, method, headers } = shop.asked[0]!;
  assert.deepEqual([method, url], ["POST", "http://shop/api/search"]);
  assert.equal(headers["Authorization"], `Bearer ${KEY}`);
  assert.equal(headers["X-Request-ID"], "mine-1");
});

test("a visitor is asked for with what they saw", async () => {
  const shop = new Shop(json(ANSWER));
  await shop.client().recommend({ history: ["A", { item_id: "B", query: "tent" }] });
  assert.deepEqual(shop.sent(), { history: ["A", { item_id: "B", query: "tent" }] });
});

test("names are quoted in addresses", async () => {
  const shop = new Shop(json(ANSWER));
  await shop.client().similar("tent/2 person?κ", { k: 2, fields: ["price", "brand"] });
  assert.equal(shop.asked[0]?.url, "http://shop/api/items/tent%2F2%20person%3F%CE%BA/similar?k=2&fields=price&fields=brand");
  assert.equal(shop.asked[0]?.body, undefined);
});

test("pages follow the cursor to its end", async () => {
  const shop = new Shop(json({ ...ANSWER, next_cursor: "c1" }), json({ ...ANSWER, next_cursor: "c2" }), json(ANSWER));
  const pages = await collect(shop.client().pages({ kind: "search", q: "tent", user: "ann" }));
  assert.equal(pages.length, 3);
  assert.deepEqual([0, 1, 2].map((i) => shop.sent(i)), [
    { q: "tent", user: "ann" },
    { q: "tent", user: "ann", cursor: "c1" },
    { q: "tent", user: "ann", cursor: "c2" },
  ]);
});

test("similar items have pages too", async () => {
  const shop = new Shop(json({ ...ANSWER, next_cursor: "c+1" }), json(ANSWER));
  assert.equal((await collect(shop.client().pages({ kind: "similar", item: "A" }))).length, 2);
  assert.equal(shop.asked[1]?.url, "http://shop/api/items/A/similar?cursor=c%2B1");
});

test("events go out in thousands and indexes are of the whole", async () => {
  const rejected = Array.from({ length: 500 }, (_, index) => ({ index, field: "type", code: "enum", reason: "no" }));
  const accepted = Array.from({ length: 1_000 }, (_, index) => ({ index, event_id: `e${index}`, duplicate: false, known: true }));
  const taken = json({ request_id: "r", accepted, rejected: [] }, 202);
  const shop = new Shop(taken, taken, problem(422, "invalid_event", { rejected }));
  const events = Array.from({ length: 2_500 }, () => ({ user_id: "ann", item_id: "A", type: "view" as const }));
  const receipt = await shop.client().sendEvents(events);
  assert.deepEqual(receipt.accepted.map((row) => row.index), Array.from({ length: 2_000 }, (_, i) => i));
  assert.deepEqual(receipt.rejected.map((row) => row.index), Array.from({ length: 500 }, (_, i) => i + 2_000));
  const ids = (shop.sent(0) as { event_id: string }[]).map((row) => row.event_id);
  assert.equal(new Set(ids).size, 1_000);
  assert.match(ids[0]!, /^[0-9a-f]{32}$/);
});

test("no events are no request", async () => {
  const shop = new Shop(json(ANSWER));
  assert.deepEqual(await shop.client().sendEvents([]), { accepted: [], rejected: [] });
  assert.equal(shop.asked.length, 0);
});

test("an event keeps the id that it has", () => {
  assert.equal(newEvent({ user_id: "ann", item_id: "A", type: "view", event_id: "e1" }).event_id, "e1");
});

test("a problem is an error with its code, status and request", async () => {
  const errors = [{ field: "k", code: "less_than_equal", message: "at most 200" }];
  const shop = new Shop(problem(422, "invalid_request", { errors, position: 3 }));
  await assert.rejects(shop.client().item("A"), (error: unknown) => {
    assert(error instanceof GemserveError);
    assert.deepEqual([error.status, error.code, error.requestId], [422, "invalid_request", "r9"]);
    assert.equal(error.detail, "because of invalid_request");
    assert.deepEqual(error.errors, errors);
    assert.equal(error.members["position"], 3);
    return true;
  });
});

test("an error from in between is one too", async () => {
  const shop = new Shop(text("<h1>Bad Gateway</h1>", 502));
  const expected = { code: "http_error", status: 502, requestId: "mine" };
  await assert.rejects(shop.client({ requestId: () => "mine" }).version(), expected);
});

test("an answer that is no JSON is told", async () => {
  await assert.rejects(new Shop(text("<html>")).client().version(), { code: "unexpected_answer" });
});

test("an empty answer is one where nothing is to be told", async () => {
  const shop = new Shop(() => new Response(null, { status: 204 }));
  assert.equal(await shop.client().revokeKey("k1"), undefined);
});

test("the key is shown by nothing", () => {
  const client = new Shop(json(ANSWER)).client({ key: KEY });
  assert(!inspect(client, { depth: 9, showHidden: true }).includes(KEY));
  assert(!JSON.stringify(client).includes(KEY));
});

test("every question has its kind", async () => {
  const questions: Question[] = [
    { kind: "search", q: "tent" },
    { kind: "recommend", user: "ann" },
    { kind: "similar", item: "A" },
  ];
  const shop = new Shop(json(ANSWER));
  for (const question of questions) await shop.client().ask(question);
  assert.deepEqual(shop.asked.map((asked) => asked.url.replace("http://shop/api", "")), [
    "/search",
    "/recommend",
    "/items/A/similar",
  ]);
});
