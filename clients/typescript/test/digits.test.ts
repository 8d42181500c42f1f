/** Whole numbers keep their digits both ways, and a server may stand behind a path prefix. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { GemserveClient, GemserveError } from "../src/index.js";
import { exactText, parseExact } from "../src/json.js";
import { ANSWER, Shop, collect, json, problem, text } from "./shop.js";

const LARGE = ["9007199254740992", "9007199254740993", "-9007199254740993", "9223372036854775807", "-9223372036854775808"];
LARGE.push("18446744073709551615", "123456789012345678901234567890");
for (const digits of LARGE) {
  test(`an answer keeps the digits of ${digits}`, () => {
    const value = BigInt(digits);
    for (const [before, after] of [["", ""], [" ", "\n"], ["[1,", "]"], ["[", ", 2.5]"], ['{"a":', "}"], ['{"a": [{"b" : ', " }]}"]]) {
      const found = parseExact(`${before}${digits}${after}`);
      assert.deepEqual([found].flat(9).flatMap(leaves).filter((leaf) => typeof leaf === "bigint"), [value]);
    }
  });
}

function leaves(value: unknown): unknown[] {
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(leaves) : [value];
}

const SAME = ["9007199254740991", "-9007199254740991", "1.2345678901234567", "1234567890123456.5", "1e300", "12345678901234567e3"];
SAME.push('"12345678901234567890"', '{"12345678901234567890": ":12345678901234567890"}', '["a\\\\", 1, "\\",12345678901234567890"]');
SAME.push('[0, -0, "", true, null, ",1234567890123456789", "[12345678901234567"]', '"\\u0022,12345678901234567"');
for (const given of SAME) {
  test(`everything else is as JSON has it: ${given}`, () => {
    assert.deepEqual(parseExact(given), JSON.parse(given));
    assert.deepEqual(parseExact(`[${given}, 9007199254740993]`), [JSON.parse(given), 9007199254740993n]);
  });
}

for (const given of ["", "[1", "01234567890123456789", "-", "[12345678901234567 1]", "<p>12345678901234567", '"12345678901234567', "- 12345678901234567"]) {
  test(`what is no JSON is still none: ${given}`, () => {
    assert.throws(() => parseExact(given), SyntaxError);
  });
}

test("what is written is read back, whatever its texts look like", () => {
  const value = { a: 2n ** 64n - 1n, "1:2": ["9007199254740993", -(2n ** 63n), '"', "\\\"9007199254740993"], b: 1.5, c: null };
  assert.deepEqual(parseExact(exactText(value)), value);
  assert.equal(exactText({ a: 2n ** 63n }), '{"a":9223372036854775808}');
});

test("long texts beside large numbers are read", () => {
  const long = "ab\\\"".repeat(500_000);
  assert.deepEqual(parseExact(JSON.stringify([long]).replace("[", "[9007199254740993,")), [9007199254740993n, long]);
});

test("a record's big integers are sent as numbers of all their digits", async () => {
  const shop = new Shop(json({ request_id: "r" }));
  await shop.client().putItem(7n, { serial: 9_007_199_254_740_993n, sizes: new Set([2n ** 63n, 1n]) });
  assert.equal(shop.asked[0]?.body, '{"serial":9007199254740993,"sizes":[9223372036854775808,1]}');
  await shop.client().putItems([{ id: 2n ** 63n, serial: -(2n ** 63n) }]);
  assert.equal(shop.asked[1]?.body, '[{"id":9223372036854775808,"serial":-9223372036854775808}]');
  for (const beyond of [2n ** 64n, -(2n ** 63n) - 1n]) {
    await assert.rejects(shop.client().putItem("a", { serial: beyond }), { code: "invalid_argument", detail: /^record\.serial .*too large/ });
  }
  assert.equal(shop.asked.length, 2);
});

test("answers, batches and problems keep them", async () => {
  const row = '{"id":"A","title":"T","score":-1.25,"serial":9007199254740993}';
  const answer = JSON.stringify(ANSWER).replace(/"items":\[.*?\]/, `"items":[${row}]`);
  assert.equal((await new Shop(text(answer)).client().search("tent")).items[0]?.["serial"], 9_007_199_254_740_993n);
  const [result] = await collect(new Shop(text(`{"index":0,"answer":${answer}}\n`)).client().batch([{ kind: "search", q: "x" }]));
  assert.equal(result?.answer?.items[0]?.["serial"], 9_007_199_254_740_993n);
  const refused = text('{"code":"c","detail":"d","value":9007199254740993}', 422);
  await assert.rejects(new Shop(refused).client().search("x"), (error: unknown) => {
    assert(error instanceof GemserveError);
    return error.members["value"] === 9_007_199_254_740_993n;
  });
});

const PREFIXED = ["https://shop.example/gemserve", "https://shop.example/gemserve/", "https://shop.example/gemserve//"];
PREFIXED.push(" https://shop.example/gemserve\n", "/gemserve", "https://shop.example:8443/a/b/", "../gemserve");
for (const address of PREFIXED) {
  test(`every address keeps its prefix: ${JSON.stringify(address)}`, async () => {
    const asked: string[] = [];
    const fetch = async (url: unknown): Promise<Response> => {
      asked.push(String(url));
      return Response.json(asked.length === 5 ? { request_id: "r", accepted: [], rejected: [] } : ANSWER);
    };
    const client = new GemserveClient(address, { fetch: fetch as typeof globalThis.fetch });
    await client.search("tent");
    await client.similar("a/b");
    await client.item("x?y");
    await client.browse({ k: 2 });
    await client.sendEvents([{ user_id: "u", item_id: "i", type: "view" }]);
    const prefix = address.trim().replace(/\/+$/, "");
    const paths = ["/search", "/items/a%2Fb/similar", "/items/x%3Fy", "/items?k=2", "/events"];
    assert.deepEqual(asked, paths.map((path) => prefix + path));
  });
}

for (const address of ["https://shop.example/?key=1", "https://shop.example/gemserve#top", "?", "#"]) {
  test(`an address with more than a path is refused: ${address}`, () => {
    assert.throws(() => new GemserveClient(address), { code: "invalid_argument", detail: /^url has [?#] in it/ });
  });
}

test("a problem behind a prefix is the server's", async () => {
  await assert.rejects(new Shop(problem(404, "item_not_found")).client().item("a"), { code: "item_not_found", status: 404 });
});
