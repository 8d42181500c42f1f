/** Many questions at once, without a network. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";

import type { Question } from "../src/index.js";
import { ANSWER, Shop, collect, json, problem, text } from "./shop.js";

const QUESTIONS: Question[] = [
  { kind: "similar", item: "X" },
  { kind: "search", q: "tent", k: 1 },
];

function lines(...rows: object[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join("");
}

/** The same bytes in pieces that cut through lines and characters. */
function inPieces(body: string, size: number): () => Response {
  const bytes = new TextEncoder().encode(body);
  return () =>
    new Response(
      new ReadableStream({
        start(controller) {
          for (let i = 0; i < bytes.length; i += size) controller.enqueue(bytes.slice(i, i + size));
          controller.close();
        },
      }),
    );
}

test("a batch is lines and its results know their questions", async () => {
  const title = "one line\u2028still the same, κ";
  const answer = { ...ANSWER, items: [{ id: "A", title, score: -1, relevance: 1 }] };
  const missing = { index: 0, problem: { status: 404, code: "item_not_found", detail: "no such item" } };
  const shop = new Shop(inPieces(lines({ index: 1, answer }, missing), 7));
  const [first, second] = await collect(shop.client().batch(QUESTIONS));
  assert.equal(shop.asked[0]?.body, '{"kind":"similar","item":"X"}\n{"kind":"search","q":"tent","k":1}');
  assert.equal(shop.asked[0]?.headers["Content-Type"], "application/x-ndjson");
  assert.deepEqual([first?.index, first?.question, first?.answer?.items[0]?.title], [1, QUESTIONS[1], title]);
  assert.deepEqual([second?.index, second?.error?.code, second?.error?.status], [0, "item_not_found", 404]);
});

test("a batch in order says so", async () => {
  const shop = new Shop(text(lines({ index: 0, answer: ANSWER })), text(lines({ index: 0, answer: ANSWER })));
  await collect(shop.client().batch([{ kind: "search", q: "tent", limit: 2 }], { ordered: true }));
  await collect(shop.client().batch([{ kind: "search", q: "tent" }]));
  assert.deepEqual(shop.asked.map(({ url }) => url.replace(/.*\/batch/, "")), ["?ordered=true", ""]);
});

test("large bodies are compressed where that is asked for", async () => {
  const rows = lines(...Array.from({ length: 50 }, (_, index) => ({ index, answer: ANSWER })));
  const shop = new Shop(text(rows), text(lines({ index: 0, answer: ANSWER })));
  const questions = Array.from({ length: 50 }, (): Question => ({ kind: "search", q: "tent" }));
  await collect(shop.client({ compress: true }).batch(questions));
  await collect(shop.client({ compress: true }).batch(questions.slice(0, 1)));
  const [large, small] = shop.asked;
  assert.equal(large?.headers["Content-Encoding"], "gzip");
  const unpacked = gunzipSync(large?.body as unknown as ArrayBuffer).toString();
  assert.deepEqual(unpacked.split("\n").map((line) => JSON.parse(line)), questions);
  assert.equal(small?.headers["Content-Encoding"], undefined);
});

test("more questions than fit a request are asked in turn", async () => {
  let asked = 0;
  async function* questions(): AsyncGenerator<Question> {
    for (; asked < 10_001; asked += 1) yield { kind: "search", q: "tent" };
  }
  const whole = lines(...Array.from({ length: 10_000 }, (_, index) => ({ index, answer: ANSWER })));
  const shop = new Shop(text(whole), text(lines({ index: 0, answer: ANSWER })));
  const results = shop.client().batch(questions());
  assert.equal((await results.next()).value?.index, 0);
  assert.equal(asked, 9_999);
  assert.equal((await collect(results)).at(-1)?.index, 10_000);
});

test("no questions are no request", async () => {
  const shop = new Shop(json({}));
  assert.deepEqual(await collect(shop.client().batch([])), []);
  assert.equal(shop.asked.length, 0);
});

for (const [body, code] of [
  ["", "connection_failed"],
  ['{"index":0,"ans', "connection_failed"],
  ['{"index":7,"answer":{}}\n', "unexpected_answer"],
  ["nonsense\n", "unexpected_answer"],
  ["[]\n", "unexpected_answer"],
] as const) {
  test(`a batch that ends early or makes no sense is an error: ${JSON.stringify(body)}`, async () => {
    const shop = new Shop(text(body));
    await assert.rejects(collect(shop.client().batch(QUESTIONS)), { code });
  });
}

test("a batch is asked again until it begins and not after", async () => {
  const cut = (): Response =>
    new Response(
      new ReadableStream({
        start(controller) {
          controller.enqueue(new TextEncoder().encode(lines({ index: 1, answer: ANSWER })));
        },
        pull(controller) {
          controller.error(new TypeError("terminated"));
        },
      }, { highWaterMark: 0 }),
    );
  const shop = new Shop(problem(503, "not_ready"), cut);
  const results = shop.client().batch(QUESTIONS);
  assert.equal((await results.next()).value?.index, 1);
  await assert.rejects(results.next(), { code: "connection_failed" });
  assert.equal(shop.asked.length, 2);
});

test("leaving the loop ends the request", async () => {
  let cancelled = false;
  const endless = (): Response =>
    new Response(
      new ReadableStream({
        start(controller) {
          controller.enqueue(new TextEncoder().encode(lines({ index: 0, answer: ANSWER })));
        },
        cancel() {
          cancelled = true;
        },
      }),
    );
  for await (const result of new Shop(endless).client().batch(QUESTIONS)) {
    assert.equal(result.index, 0);
    break;
  }
  assert(cancelled);
});
