/** What InstantSearch asks and gets, over the real client, without a network. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { GemserveClient } from "@gemserve/client";

import { filterOf } from "../src/filters.js";
import { instantGemserve, type Options } from "../src/index.js";

const ANSWER = {
  request_id: "r1",
  items: [{ id: "A", title: "Zelt <Å> Tent", categories: ["Outdoor", "Tents"], score: -1.5, matched: [{ word: "tent", field: "title", start: 9, end: 13 }] }],
  next_cursor: null as string | null,
  took_ms: 1.25,
  total: 30,
  total_is: "matching",
  facetDistribution: { brand: { Alpina: 2, "Nórd & Alp": 1 } },
  facetStats: { price: { min: 1, max: 9, avg: 5, sum: 10 } },
};

function shop(options: Options = {}, answers: object[] = [ANSWER]) {
  const sent: Record<string, unknown>[] = [];
  const client = new GemserveClient("http://shop", {
    fetch: async (_, init) => {
      sent.push(JSON.parse(String(init?.body)));
      return Response.json(answers[Math.min(sent.length, answers.length) - 1]);
    },
  });
  return { search: instantGemserve(client, options).searchClient, sent };
}

test("what was typed, the counts and the order are asked for", async () => {
  const { search, sent } = shop({ additionalSearchParameters: () => ({ user: "ann", filter: "available" }) });
  await search.search([
    { indexName: "items/sort/price:asc", params: { query: " tent ", hitsPerPage: 5, facets: ["brand"], facetFilters: [["brand:A", "brand:B"]] } },
    { indexName: "items", params: { query: "", hitsPerPage: 0, facets: "brand" } },
  ]);
  assert.deepEqual(sent[0], {
    user: "ann",
    filter: '(available) and ((brand = "A" or brand = "B"))',
    q: "tent",
    k: 5,
    total: true,
    facets: ["brand"],
    max_facet_values: 10,
    sort_by: "price:asc",
  });
  assert.deepEqual([sent[1]?.["q"], sent[1]?.["k"]], ["*", 1]);
});

test("answers become results, their texts unescaped with the tags that were wanted", async () => {
  const params = { query: "tent", hitsPerPage: 4, highlightPreTag: "__a__", highlightPostTag: "__/a__" };
  const [result] = (await shop().search.search([{ indexName: "items", params }])).results;
  assert.ok(result);
  assert.equal(result.hits[0]?.objectID, "A");
  assert.deepEqual(result.hits[0]?._highlightResult["title"], { value: "Zelt <Å> __a__Tent__/a__", matchLevel: "full", matchedWords: ["tent"] });
  assert.deepEqual([result.nbHits, result.nbPages, result.queryID], [30, 8, "r1"]);
  assert.deepEqual(result.facets_stats, ANSWER.facetStats);
});

test("pages follow cursors, which are remembered", async () => {
  const { search, sent } = shop({}, [{ ...ANSWER, next_cursor: "c1" }, { ...ANSWER, next_cursor: "c2" }, { ...ANSWER, next_cursor: "c3" }, ANSWER]);
  const page = async (page: number) => (await search.search([{ indexName: "items", params: { query: "tent", page, hitsPerPage: 1 } }])).results[0];
  assert.equal((await page(1))?.page, 1);
  assert.deepEqual(sent.map((body) => body["cursor"]), [undefined, "c1"]);
  await page(2);
  assert.deepEqual(sent.map((body) => body["cursor"]), [undefined, "c1", "c2"]);
  const behind = await page(20);
  assert.deepEqual([behind?.hits.length, behind?.nbPages], [0, 20]);
});

test("a page behind the last has no hits", async () => {
  const { search } = shop();
  const [result] = (await search.search([{ indexName: "items", params: { page: 3 } }])).results;
  assert.deepEqual(result?.hits, []);
});

test("filters are written in the server's grammar", () => {
  const types = { year: "number", sale: "boolean" } as const;
  const filters: [object, string][] = [
    [{ facetFilters: ["a:x", ["b:y", "b:z:1"]] }, 'a = "x" and (b = "y" or b = "z:1")'],
    [{ facetFilters: "a:-x" }, 'not a = "x"'],
    [{ facetFilters: ["a:\\-5", "not:say \"\\\""] }, 'a = "-5" and `not` = "say \\"\\\\\\""'],
    [{ facetFilters: ["year:2020", "sale:true"] }, "year = 2020 and sale = true"],
    [{ numericFilters: ["price>=10", ["price<=2.5", "price = -1"]] }, "price >= 10 and (price <= 2.5 or price = -1)"],
    [{ filters: "a = 1 or b = 2", facetFilters: [] }, "(a = 1 or b = 2)"],
  ];
  for (const [given, expected] of filters) assert.equal(filterOf(given, types), expected);
});

test("what is no filter is told", () => {
  assert.throws(() => filterOf({ facetFilters: ["x"] }, {}), /facetFilters: "x" is no condition/);
  assert.throws(() => filterOf({ numericFilters: ["price>1 or 1"] }, {}), /numericFilters/);
});

test("values of a facet are found by a part of them", async () => {
  const [found] = await shop().search.searchForFacetValues([{ indexName: "items", params: { facetName: "brand", facetQuery: "ALP" } }]);
  assert.deepEqual(found?.facetHits, [
    { value: "Alpina", highlighted: "<em>Alp</em>ina", count: 2 },
    { value: "Nórd & Alp", highlighted: "Nórd & <em>Alp</em>", count: 1 },
  ]);
});

test("values of fewer letters that come late do not replace those of more", async () => {
  const waiting: ((answer: Response) => void)[] = [];
  const client = new GemserveClient("http://shop", { fetch: () => new Promise((resolve) => waiting.push(resolve)) });
  const { searchClient } = instantGemserve(client);
  const values = (facetQuery: string) => searchClient.searchForFacetValues([{ indexName: "items", params: { facetName: "brand", facetQuery } }]);
  const asked = [values("a"), values("al")];
  const shown: string[][] = [];
  for (const answer of asked) answer.then(([found]) => shown.push(found?.facetHits.map((hit) => hit.highlighted) ?? []));
  while (waiting.length < 2) await new Promise((resolve) => setTimeout(resolve));
  waiting[1]?.(Response.json(ANSWER));
  await asked[1];
  waiting[0]?.(Response.json(ANSWER));
  await asked[0];
  assert.deepEqual(shown.at(-1), ["<em>Al</em>pina", "Nórd & <em>Al</em>p"]);
});

test("a value is found by its letters, whatever they mean in an expression", async () => {
  const answer = { ...ANSWER, facetDistribution: { brand: { "İ (5+)": 1, "i": 1 } } };
  const [found] = await shop({}, [answer]).search.searchForFacetValues([{ indexName: "items", params: { facetName: "brand", facetQuery: "(5+" } }]);
  assert.deepEqual(found?.facetHits.map((hit) => hit.highlighted), ["İ <em>(5+</em>)"]);
});
