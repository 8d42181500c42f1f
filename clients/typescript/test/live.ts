/** Every method against a running server: GEMSERVE_URL and GEMSERVE_KEY say which. tests/clients/ has pytest start it. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { GemserveClient, GemserveError, newEvent, type Answer, type BatchResult, type Question } from "../src/index.js";
import { collect } from "./shop.js";

const [FIRST, SECOND] = ["2025-11-20-a", "2025-11-21-a"] as const;
const MOMENT = 1_700_000_000_000;
const { GEMSERVE_URL: url = "", GEMSERVE_KEY: key = "" } = process.env;
const shop = new GemserveClient(url, { key });
const name = (): string => `ts/${Math.random()}:κ & more`;
const NEW_ITEM = "ts/new:κ & more"; // one for all tests: the shop has two paths free, and a deleted item keeps its own
const ids = (answer: Answer): string[] => answer.items.map((item) => item.id);
const saw = (user_id: string, ...items: string[]) =>
  items.map((item_id, i) => newEvent({ user_id, item_id, type: "view", timestamp: MOMENT + i }));

test("a search", async () => {
  const answer = await shop.search("tent", { k: 5, filter: "price < 20", fields: ["price"], explain: true });
  assert.equal(answer.items.length, 5);
  for (const item of answer.items) {
    assert(Number(item["price"]) < 20);
    assert.equal(item["brand"], undefined);
    assert.equal(item.explanation?.levels.length, 2);
    assert.equal(item.reason.code, "query");
  }
  assert.equal(answer.model, FIRST);
});

test("pages have every item once", async () => {
  const pages = await collect(shop.pages({ kind: "search", q: "tent", k: 7 }));
  const shown = pages.flatMap(ids);
  assert.deepEqual([shown.length, new Set(shown).size], [28, 28]);
});

test("recommendations for a user, a session and a visitor", async () => {
  const [user, session] = [name(), name()];
  await shop.sendEvents([...saw(user, "item-7"), ...saw(session, "item-8")]);
  assert(!ids(await shop.recommend({ user, k: 28, exclude_seen: true })).includes("item-7"));
  const both = ids(await shop.recommend({ user, session, k: 28, exclude_seen: "view" }));
  assert(!both.includes("item-7") && !both.includes("item-8"));
  const history = ["item-4", { item_id: "item-9", query: "lamp", type: "cart" as const }];
  const visitor = await shop.recommend({ history, k: 28, exclude_seen: new Set(["cart", "purchase"] as const) });
  assert(ids(visitor).includes("item-4") && !ids(visitor).includes("item-9"));
});

test("documents in their order", async () => {
  const found = await shop.rerank("title 7", new Set(["of nothing", "item-7", { id: "nobody" }]), { top_n: 2, user: name() });
  assert.deepEqual(found.results.map((one) => [one.index, one.item_id]), [[1, "item-7"], [0, null]]);
  assert.equal(found.results[0]?.document?.text, "item-7");
  assert.deepEqual(found.unknown, [2]);
  await assert.rejects(shop.rerank("tent", []), { status: 422, code: "invalid_request" });
});

test("facets, an order and shelves", async () => {
  const answer = await shop.recommend({ user: name(), facets: new Set(["brand", "price"]), filter: "price < 20", sort_by: "price:desc", k: 3 });
  assert.deepEqual(answer.items.map((item) => item.price), [19, 18, 16]);
  assert.deepEqual([answer.total, answer.total_is], [18, "allowed"]);
  assert.deepEqual(answer.facetDistribution, { brand: { Alpina: 18 }, price: {} });
  assert.deepEqual(answer.facetStats?.["price"], { min: 0, max: 19, avg: answer.facetStats?.["price"]?.avg, sum: answer.facetStats?.["price"]?.sum });
  const pages = await collect(shop.pages({ kind: "browse", sort_by: "price:desc", k: 10 }));
  assert.equal(pages.flatMap(ids).length, 28);
  assert.deepEqual((await shop.browse({ limit: 2, sort_by: "price", fields: ["price"] })).items.map((item) => item.price), [0, 1]);
  const [result] = await collect(shop.batch([{ kind: "browse", k: 2, sort_by: "price", total: true }]));
  assert.equal(result?.answer?.total, 28);
  await assert.rejects(shop.browse({ sort_by: "price,prise" }), { status: 422, code: "invalid_request" });
});

test("whole numbers keep their digits both ways", async () => {
  const first = 2n ** 53n + 1n;
  assert.equal((await shop.item("tent/2 person"))["serial"], first);
  const answer = await shop.search("tent", { k: 28, filter: `serial >= ${first + 3n}`, fields: ["serial"] });
  assert(answer.items.length > 0 && answer.items.every((item) => typeof item["serial"] === "bigint" && item["serial"] >= first + 3n));
  const [result] = await collect(shop.batch([{ kind: "browse", k: 1, sort_by: "serial:desc", fields: ["serial"] }]));
  assert.equal(result?.answer?.items[0]?.["serial"], first + 29n);
  const id = NEW_ITEM;
  for (const serial of [2n ** 64n - 1n, 9_007_199_254_740_995n, 7n]) {
    await shop.putItem(id, { title: "New", serial });
    assert.equal((await shop.item(id))["serial"], serial === 7n ? 7 : serial);
    await shop.putItem(id, await shop.item(id));
    assert.equal((await shop.item(id))["serial"], serial === 7n ? 7 : serial);
  }
  await assert.rejects(shop.putItem(id, { serial: -5n }), { status: 422 });
  await shop.deleteItem(id);
});

test("shelves and baskets", async () => {
  for (const answer of [await shop.popular({ limit: 3 }), await shop.trending({ k: 3 }), await shop.latest({ k: 3 })]) {
    assert.equal(answer.items.length, 3);
  }
  assert.equal((await collect(shop.pages({ kind: "popular", k: 10 }))).flatMap(ids).length, 28);
  assert((await shop.boughtTogether("tent/2 person")).total !== undefined);
  const basket = await shop.similarToBasket(["tent/2 person", "item-4"], { k: 2, filter: "price > 0" });
  assert.equal(basket.items.length, 2);
  await assert.rejects(shop.similarToBasket(["no such item"]), { status: 404, code: "item_not_found" });
});

test("similar items", async () => {
  const answer = await shop.similar("tent/2 person", { k: 3, filter: "price < 25", fields: ["brand"] });
  assert.equal(answer.items.length, 3);
  assert(!ids(answer).includes("tent/2 person"));
  await assert.rejects(shop.similar("no such item"), { status: 404, code: "item_not_found" });
});

test("a batch", async () => {
  const questions: Question[] = [
    { kind: "search", q: "tent", k: 2 },
    { kind: "recommend", user: name(), k: 3 },
    { kind: "similar", item: "item-4", k: 4 },
    { kind: "search", q: "x", filter: "prize < 3" },
  ];
  const results: BatchResult[] = await collect(shop.batch(questions));
  results.sort((one, other) => one.index - other.index);
  assert.deepEqual(results.map((result) => result.answer?.items.length), [2, 3, 4, undefined]);
  assert.equal(results[3]?.error?.code, "invalid_filter");
  assert.deepEqual(results.map((result) => result.question), questions);
});

test("events, histories, merging and erasure", async () => {
  const [user, session] = [name(), name()];
  const events = saw(user, "no such item", "item-4", "item-6");
  const receipt = await shop.sendEvents(events);
  assert.deepEqual(receipt.accepted.map((row) => [row.duplicate, row.known]), [[false, false], [false, true], [false, true]]);
  assert.deepEqual((await shop.sendEvents(events)).accepted.map((row) => row.duplicate), [true, true, true]);
  const early = [{ ...events[0]!, timestamp: "2025-11-20T12:00:00" }];
  assert.deepEqual((await shop.sendEvents([...early, ...events])).rejected.map((row) => [row.index, row.field]), [[0, "timestamp"]]);
  assert.equal((await shop.sendEvents(early)).rejected[0]?.code, "timestamp_not_iso");

  const past = await shop.history(user, { limit: 1 });
  assert.deepEqual(past.events.map((event) => [event.item_id, event.event_id]), [["item-6", events[2]?.event_id]]);

  await shop.sendEvents(saw(session, "item-9"));
  assert.equal((await shop.merge(user, session)).moved, 1);
  assert.equal((await shop.merge(user, session)).moved, 0);
  assert.equal((await shop.history(user)).events.length, 4);
  assert((await shop.erase(user)).events_erased >= 4);
  assert.deepEqual((await shop.history(user)).events, []);
});

test("items are written, read and deleted", async () => {
  const id = NEW_ITEM;
  const put = await shop.putItem(id, { title: "New", price: 9.5 });
  assert.deepEqual([...put.inserted, ...put.replaced], [id]); // replaced where an earlier run deleted it
  assert.equal((await shop.item(id)).price, 9.5);
  assert.deepEqual((await shop.patchItem(id, { price: 8, title: null })).replaced, [id]);
  assert.deepEqual([(await shop.item(id)).price, (await shop.item(id)).title], [8, null]);
  assert.deepEqual((await shop.putItems([{ id, title: "Newer" }])).replaced, [id]);
  assert.deepEqual((await shop.deleteItem(id)).deleted, [id]);
  await assert.rejects(shop.item(id), { status: 404, code: "item_not_found" });
});

test("columns are shown, added and dropped", async () => {
  const added = await shop.patchSchema({ add: { "ts fragile": "bool" } });
  assert.deepEqual([added.added_columns, added.columns.at(-1)?.name], [["ts fragile"], "ts fragile"]);
  assert.deepEqual((await shop.schema()).columns, added.columns);
  assert.deepEqual((await shop.patchSchema({ drop: new Set(["ts fragile"]) })).dropped_columns, ["ts fragile"]);
});

test("synonyms are written, read and deleted", async () => {
  assert.equal((await shop.putSynonyms("ts shelters", ["tent", "bivouac"])).created, true);
  const understood = (await shop.search("bivouac")).understood;
  assert.deepEqual(understood?.synonyms, [{ id: "ts shelters", word: "bivouac", read_as: "tent" }]);
  assert.equal((await shop.putSynonyms("ts way", new Set(["tent"]), "yurt")).root, "yurt");
  assert.equal((await shop.synonyms({ q: "nobody has this" })).total, 0);
  const page = await shop.synonyms({ limit: 1 });
  assert.deepEqual([page.synonyms[0]?.id, page.total, page.next_cursor], ["ts shelters", 2, "ts shelters"]);
  assert.equal((await shop.synonyms({ cursor: page.next_cursor })).synonyms[0]?.id, "ts way");
  assert.equal((await shop.synonymSet("ts way")).root, "yurt");
  await shop.deleteSynonyms("ts way");
  await shop.deleteSynonyms("ts shelters");
  await assert.rejects(shop.synonymSet("ts way"), { status: 404, code: "synonym_not_found" });
});

test("overrides are written, read and deleted", async () => {
  const rule = { query: "tent", match: "contains" } as const;
  const includes = [{ id: "item-9", position: 2 }, { id: "nobody", position: 1 }];
  const written = await shop.putOverride("ts pins", { rule, includes, boost: [{ condition: "price > 20", factor: 3 }] });
  assert.deepEqual([written.created, written.missing], [true, ["nobody"]]);
  const answer = await shop.search("big tent", { k: 3 });
  assert.deepEqual([answer.items[1]?.id, answer.overrides, answer.pinned], ["item-9", ["ts pins"], ["item-9"]]);
  assert.equal((await shop.search("big tent", { enable_overrides: false })).overrides, undefined);
  await shop.putOverride("ts tag", { rule: { tags: ["sale"] }, excludes: ["item-9"] });
  assert.deepEqual((await shop.search("rope", { override_tags: new Set(["sale"]) })).overrides, ["ts tag"]);
  const page = await shop.overrides({ limit: 1 });
  assert.deepEqual([page.overrides[0]?.id, page.total, page.next_cursor], ["ts pins", 2, "ts pins"]);
  assert.deepEqual((await shop.override("ts tag")).excludes, [{ id: "item-9" }]);
  await shop.deleteOverride("ts pins");
  await shop.deleteOverride("ts tag");
  await assert.rejects(shop.override("ts tag"), { status: 404, code: "override_not_found" });
});

test("models and their traffic", async () => {
  const models = await shop.models();
  assert.deepEqual([models.current, models.versions], [FIRST, [FIRST, SECOND]]);
  assert.deepEqual([(await shop.model(FIRST)).role, (await shop.model(SECOND)).manifest.engine], ["current", "vllm"]);
  assert.deepEqual(Object.keys((await shop.setTraffic({ [FIRST]: 1, [SECOND]: 1 })).traffic).sort(), [FIRST, SECOND]);
  assert.deepEqual(Object.keys((await shop.clearTraffic()).traffic), [FIRST]);
  assert.equal((await shop.activate(SECOND)).previous, FIRST);
  assert.equal((await shop.search("tent")).model, SECOND);
  assert.equal((await shop.rollBack()).model, FIRST);
  await assert.rejects(shop.fleet(), { status: 409, code: "no_fleet" });
});

test("analytics are told", async () => {
  const today = new Date();
  assert.equal((await shop.analyticsQueries({ last: today, limit: 3 })).last, today.toISOString().slice(0, 10));
  assert.deepEqual((await shop.analyticsNoResults({ last: "2026-01-01" })).queries, []);
  assert.deepEqual((await shop.analyticsNoClicks({ first: "2026-01-01", last: "2026-01-01" })).queries, []);
  assert.deepEqual((await shop.analyticsMetrics({ model: "none" })).metrics, []);
  assert.equal((await shop.analyticsExperiment({ goal: "conversion" })).goal, "conversion");
  await assert.rejects(shop.analyticsQueries({ last: new Date(NaN) }), { code: "invalid_argument" });
});

test("keys are made, limited and revoked", async () => {
  const made = await shop.createKey("page", ["read"], { rate_per_second: 0.01, burst: 1 });
  assert.equal((await shop.keys()).find((one) => one.id === made.id)?.burst, 1);
  const page = new GemserveClient(url, { key: made.key, retries: { attempts: 1 } });
  await page.search("tent");
  await assert.rejects(page.search("tent"), { status: 429, code: "rate_limited" });
  const soon = new Date(Date.UTC(2999, 0, 1));
  const narrow = await shop.createKey("cheap", ["read"], { expires_at: soon, filter_by: "price < 100" });
  assert.equal(narrow.expires_at, "2999-01-01T00:00:00Z");
  const cheap = await new GemserveClient(url, { key: narrow.key }).search("tent", { k: 20 });
  assert(cheap.items.length > 0 && cheap.items.every((item) => Number(item.price) < 100));
  await shop.revokeKey(narrow.id);
  await shop.revokeKey(made.id);
  assert.deepEqual((await shop.audit({ limit: 1 })).changes[0]?.target, { key_id: made.id });
  assert(!(await shop.keys()).some((one) => one.id === made.id));
});

test("version and readiness need no key, a search does", async () => {
  const anonymous = new GemserveClient(url);
  assert.equal((await anonymous.version()).model, FIRST);
  assert.equal((await anonymous.ready()).status, "ready");
  await assert.rejects(anonymous.search("tent"), { status: 401 });
});

test("an error says what was wrong, and with which request", async () => {
  const named = new GemserveClient(url, { key, requestId: () => "mine-1" });
  await assert.rejects(named.search("tent", { k: 1_000 }), (error: unknown) => {
    assert(error instanceof GemserveError);
    assert.deepEqual([error.status, error.code, error.requestId], [422, "invalid_request", "mine-1"]);
    assert.equal(error.errors[0]?.field, "k");
    return true;
  });
});

test("nobody there", async () => {
  const away = new GemserveClient("http://127.0.0.1:1", { retries: { attempts: 2, firstMs: 1 } });
  await assert.rejects(away.version(), { code: "connection_failed" });
});
