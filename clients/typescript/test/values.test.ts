/** What programs hold is sent where its meaning is clear, and named where it is not; nothing but GemserveErrors is thrown. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { GemserveClient, GemserveError, type Event } from "../src/index.js";
import { ANSWER, Shop, collect, json } from "./shop.js";

const CHANGE = { request_id: "r", inserted: [], replaced: [], deleted: [], missing: [], catalog_version: 1 };
const NOON = new Date("2025-11-20T12:00:00Z");
const EVENT: Event = { user_id: "ann", item_id: "A", type: "view", event_id: "e" };

/** As any: what programs without types pass. */
type Any = never;

function receipt(count: number): object {
  const accepted = Array.from({ length: count }, (_, index) => ({ index, event_id: "e", duplicate: false, known: true }));
  return { request_id: "r", accepted, rejected: [] };
}

function named(name: string) {
  return (error: unknown): boolean => {
    assert(error instanceof GemserveError, String(error));
    assert.equal(error.code, "invalid_argument");
    assert(error.detail.startsWith(name), `${error.detail} does not begin with ${name}`);
    return true;
  };
}

const cyclic: unknown[] = [];
cyclic.push(cyclic);
const hostile = {
  get price(): number {
    throw new RangeError("no price");
  },
};
const { proxy, revoke } = Proxy.revocable({}, {});
revoke();

const IDS: [unknown, string | number][] = [
  [7, 7],
  [7n, 7],
  [2n ** 63n + 1n, "9223372036854775809"],
  [-5n, -5],
  ["007", "007"],
  [Object("a"), "a"],
  [Object(7), 7],
  [{ toJSON: () => "x1" }, "x1"],
];
for (const [given, expected] of IDS) {
  test(`an id of any type goes everywhere: ${typeof given} ${String(expected)}`, async () => {
    const shop = new Shop(json(ANSWER), json(ANSWER), json(receipt(1), 202), json(ANSWER));
    const id = given as string;
    await shop.client().recommend({ user: id, session: id, candidates: new Set([id]), history: [id, { item_id: id, query: "x" }] });
    const history = [expected, { item_id: expected, query: "x" }];
    assert.deepEqual(shop.sent(), { user: expected, session: expected, candidates: [expected], history });
    await shop.client().similar(id);
    assert.equal(shop.asked[1]?.url, `http://shop/api/items/${expected}/similar`);
    await shop.client().sendEvents([{ ...EVENT, user_id: id, item_id: id }]);
    assert.deepEqual(shop.sent(2), [{ ...EVENT, user_id: expected, item_id: expected }]);
  });
}

const NO_IDS: unknown[] = [true, 1.5, NaN, Infinity, 2 ** 53, 1e20, "half \ud800", Symbol("s"), () => 1, NOON];
NO_IDS.push(undefined, null, ["a"], new Set(["a"]), new Map(), {}, proxy, new Date(NaN));
for (const [index, given] of NO_IDS.entries()) {
  test(`what is no id is named: ${index} ${typeof given}`, async () => {
    const shop = new Shop(json(ANSWER));
    const client = shop.client();
    await assert.rejects(client.item(given as Any), named("id "));
    await assert.rejects(client.similar(given as Any), named("item "));
    await assert.rejects(client.merge("ann", given as Any), named("session "));
    await assert.rejects(client.search("x", { candidates: ["a", given as Any] }), named("candidates[1] "));
    if (typeof given !== "object") {
      await assert.rejects(client.recommend({ history: ["a", given as Any] }), named("history[1] "));
    }
    if (given !== undefined && given !== null) {
      await assert.rejects(client.recommend({ user: given as Any }), named("user "));
    }
    assert.equal(shop.asked.length, 0);
  });
}

test("lists may be sets, generators and typed arrays", async () => {
  function* names(): Generator<string> {
    yield* ["a", "b"];
  }
  for (const candidates of [["a", "b"], new Set(["a", "b"]), names(), new Map([["a", 1], ["b", 2]]).keys()]) {
    const shop = new Shop(json(ANSWER));
    await shop.client().search("x", { candidates, fields: new Set(["price"]), history: new Set(["a"]) });
    assert.deepEqual(shop.sent(), { q: "x", candidates: ["a", "b"], fields: ["price"], history: ["a"] });
  }
  const shop = new Shop(json(ANSWER));
  await shop.client().search("x", { candidates: new Uint16Array([1, 2]) });
  assert.deepEqual(shop.sent(), { q: "x", candidates: [1, 2] });
  await shop.client().similar("a", { fields: new Set(["price", "brand"]), k: 3n as Any });
  assert.equal(shop.asked[1]?.url, "http://shop/api/items/a/similar?fields=price&fields=brand&k=3");
});

const NO_LISTS: unknown[] = [7, {}, new Map([["a", 1]]), Symbol("s"), () => 1, true];
for (const given of NO_LISTS) {
  test(`what is no list is named: ${typeof given} ${NO_LISTS.indexOf(given)}`, async () => {
    await assert.rejects(new Shop(json(ANSWER)).client().search("x", { candidates: given as Any }), named("candidates is no list"));
  });
}

const NO_WORDS: unknown[] = [NaN, -Infinity, 2n ** 80n, Symbol("s"), () => 1, "\udfff", new Date(NaN), cyclic, hostile];
NO_WORDS.push(proxy, Promise.resolve(1), /x/, new Error("e"), new WeakMap(), new ArrayBuffer(1), [undefined], new Array(2));
for (const [index, given] of NO_WORDS.entries()) {
  test(`what JSON has no word for is named: ${index} ${typeof given}`, async () => {
    const shop = new Shop(json(CHANGE));
    const client = shop.client();
    await assert.rejects(client.search(given as Any), named("q"));
    await assert.rejects(client.search("x", { k: given as Any }), named("k"));
    await assert.rejects(client.similar("a", { filter: given as Any }), named("filter"));
    await assert.rejects(client.putItem("a", { size: { price: given } }), named("record.size.price"));
    await assert.rejects(client.putItems([{ id: "a" }, { id: "b", tags: [given] }]), named("records[1].tags[0]"));
    await assert.rejects(client.history("ann", { limit: given as Any }), named("limit"));
    await assert.rejects(client.setTraffic({ m1: given as Any }), named("weights.m1"));
    await assert.rejects(collect(client.batch([{ kind: "search", q: "x" }, { kind: "search", q: given as Any }])), named("question 1: q"));
    assert.equal(shop.asked.length, 0);
  });
}

test("a record holds values of any type, and what is undefined is left out", async () => {
  const shop = new Shop(json(CHANGE));
  const record = { price: 7n, tags: new Set(["new"]), changed: NOON, none: null, gone: undefined, size: new Map([["w", 1]]), deep: Object("x") };
  await shop.client().putItem(7n, record);
  assert.equal(shop.asked[0]?.url, "http://shop/api/items/7");
  const sent = { price: 7, tags: ["new"], changed: "2025-11-20T12:00:00.000Z", none: null, size: { w: 1 }, deep: "x" };
  assert.deepEqual(shop.sent(), sent);
  await shop.client().patchItem("a", new Map(Object.entries(record)) as Any);
  assert.deepEqual(shop.sent(1), sent);
});

for (const given of [null, 7, "text", [1], new Set([1]), NOON, Promise.resolve({}), () => 1, new Map([[1, 2]])]) {
  test(`what is no record is named: ${String(given)}`, async () => {
    await assert.rejects(new Shop(json(CHANGE)).client().putItem("a", given as Any), named("record "));
    await assert.rejects(new Shop(json(ANSWER)).client().recommend(given as Any), named("parameters "));
    await assert.rejects(new Shop(json(ANSWER)).client().ask(given as Any), GemserveError);
  });
}

test("an event's time may be a Date", async () => {
  const shop = new Shop(json(receipt(1), 202));
  await shop.client().sendEvents([{ ...EVENT, timestamp: NOON }]);
  assert.deepEqual(shop.sent(), [{ ...EVENT, timestamp: 1_763_640_000_000 }]);
  await shop.client().sendEvents([{ ...EVENT, timestamp: 1_763_640_000_000n }]);
  assert.deepEqual(shop.sent(1), [{ ...EVENT, timestamp: 1_763_640_000_000 }]);
});

const BAD: [string, unknown][] = [
  ...NO_IDS.map((given): [string, unknown] => ["user_id", given]),
  ...NO_IDS.map((given): [string, unknown] => ["item_id", given]),
  ...[NaN, Infinity, new Date(NaN), Symbol("s"), 2n ** 80n].map((given): [string, unknown] => ["timestamp", given]),
  ...["\ud800", Symbol("s"), NaN, () => 1, cyclic, proxy].map((given): [string, unknown] => ["query", given]),
];
for (const [index, [name, given]] of BAD.entries()) {
  test(`an event that cannot be sent does not cost the others: ${index} ${name} ${typeof given}`, async () => {
    const shop = new Shop(json(receipt(2), 202));
    const told = await shop.client().sendEvents([EVENT, { ...EVENT, [name]: given }, EVENT]);
    assert.deepEqual(shop.sent(), [EVENT, EVENT]);
    assert.deepEqual(told.accepted.map((row) => row.index), [0, 2]);
    assert.deepEqual(told.rejected.map((row) => [row.index, row.code, row.field]), [[1, "invalid_argument", name]]);
    assert(told.rejected[0]?.reason.startsWith(`event 1: ${name}`), told.rejected[0]?.reason);
  });
}

test("events may be a set, a generator, a sparse list and one alone", async () => {
  function* events(): Generator<Event> {
    yield EVENT;
  }
  const sparse: Event[] = [];
  sparse[1] = EVENT;
  for (const given of [new Set([EVENT]), events(), sparse, EVENT, new Map(Object.entries(EVENT))]) {
    const shop = new Shop(json(receipt(1), 202));
    const told = await shop.client().sendEvents(given as Any);
    assert.deepEqual(shop.sent(), [EVENT]);
    assert.deepEqual(told.rejected.map((row) => row.index), given === sparse ? [0] : []);
    assert.deepEqual(told.accepted.map((row) => row.index), given === sparse ? [1] : [0]);
  }
});

for (const given of [null, undefined, 7, "text", Symbol("s"), () => 1]) {
  test(`what is no list of events is refused: ${String(given)}`, async () => {
    await assert.rejects(new Shop(json(receipt(0))).client().sendEvents(given as Any), named("events is no list"));
  });
}

test("nothing is sent where no event can be, however many", async () => {
  const shop = new Shop(json(receipt(0)));
  const told = await shop.client().sendEvents(Array.from({ length: 1_001 }, () => ({ ...EVENT, timestamp: NaN })));
  assert.deepEqual(told.rejected.map((row) => row.index), Array.from({ length: 1_001 }, (_, index) => index));
  assert.equal(shop.asked.length, 0);
});

for (const given of [null, undefined, "tent", 7, [], { kind: "find", q: "x" }, { q: "x" }]) {
  test(`a question of a batch is named: ${JSON.stringify(given)}`, async () => {
    const questions = [{ kind: "search", q: "x" }, given] as Any;
    await assert.rejects(collect(new Shop(json(ANSWER)).client().batch(questions)), named("question 1: "));
  });
}

for (const given of [null, undefined, 7, {}]) {
  test(`what is no list of questions is refused: ${String(given)}`, async () => {
    await assert.rejects(collect(new Shop(json(ANSWER)).client().batch(given as Any)), named("questions is no list"));
  });
}

test("an endless generator is refused", async () => {
  function* endless(): Generator<string> {
    for (;;) yield "a";
  }
  await assert.rejects(new Shop(json(ANSWER)).client().search("x", { candidates: endless() }), named("candidates has over"));
});

for (const given of [null, undefined, 7, {}]) {
  test(`an address that is none is refused: ${String(given)}`, () => {
    assert.throws(() => new GemserveClient(given as Any), named("url "));
  });
}
