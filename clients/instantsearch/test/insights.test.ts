/** What people do with hits, as InstantSearch tells it, over the real client, without a network. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { GemserveClient } from "@gemserve/client";

import { instantGemserve, type Options } from "../src/index.js";

type Row = Record<string, unknown>;

function shop(options: Options = {}) {
  const asked: Row[] = [];
  const events: Row[] = [];
  const inits: RequestInit[] = [];
  const client = new GemserveClient("http://shop", {
    fetch: async (url, init) => {
      const body = JSON.parse(String(init?.body));
      if (String(url).endsWith("/events")) {
        inits.push(init as RequestInit);
        events.push(...body);
        const rejected = body.flatMap((row: Row, index: number) => (row["item_id"] === "bad" ? [{ index, field: "item_id", code: "c", reason: "is bad" }] : []));
        return Response.json({ request_id: "e", accepted: [], rejected });
      }
      asked.push(body);
      return Response.json({ request_id: `r${asked.length}`, items: [{ id: "A" }, { id: "B" }], took_ms: 1, total: 2 });
    },
  });
  return { ...instantGemserve(client, options), asked, events, inits };
}

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));
const without = ({ event_id, ...row }: Row): Row => (assert.equal(typeof event_id, "string"), row);

test("clicks and conversions name the answer and the words that led to them", async () => {
  const { searchClient, insightsClient, events, inits } = shop({ user: "ann" });
  await searchClient.search([{ indexName: "items", params: { query: "tent" } }]);
  await searchClient.search([{ indexName: "items", params: { query: "lamp" } }]);
  insightsClient("clickedObjectIDsAfterSearch", { eventName: "x", index: "items", queryID: "r1", objectIDs: ["B"], positions: [2] });
  insightsClient("convertedObjectIDsAfterSearch", { queryID: "r2", objectIDs: ["A"], eventSubtype: "addToCart" });
  insightsClient("convertedObjectIDsAfterSearch", { queryID: "elsewhere", objectIDs: ["A"] });
  await settled();
  const ann = { user_id: "ann" };
  assert.deepEqual(events.map(without), [
    { ...ann, item_id: "B", type: "click", request_id: "r1", query: "tent" },
    { ...ann, item_id: "A", type: "cart", request_id: "r2", query: "lamp" },
    { ...ann, item_id: "A", type: "purchase", request_id: "elsewhere" },
  ]);
  assert.ok(inits.every((init) => init.keepalive)); // the page may be left by the click
});

test("hits that were rendered are impressions of the last answer, and a page about an item is a view", async () => {
  const { searchClient, insightsClient, events } = shop({ user: "ann" });
  await searchClient.search([{ indexName: "items", params: { query: "tent" } }]);
  await searchClient.search([{ indexName: "items", params: { query: "" } }]);
  insightsClient("viewedObjectIDs", { objectIDs: ["A", "B"], algoliaSource: ["instantsearch", "instantsearch-internal"] });
  insightsClient("viewedObjectIDs", { objectIDs: ["C"], algoliaSource: ["instantsearch"] });
  await settled();
  assert.deepEqual(events.map((row) => [row["item_id"], row["type"], row["request_id"], row["query"]]), [
    ["A", "impression", "r2", undefined],
    ["B", "impression", "r2", undefined],
    ["C", "view", undefined, undefined],
  ]);
});

test("impressions can be left out, and a conversion be something else", async () => {
  const { insightsClient, events } = shop({ user: "ann", impressions: false, conversion: "cart" });
  insightsClient("viewedObjectIDs", { objectIDs: ["A"], algoliaSource: ["instantsearch-internal"] });
  insightsClient("convertedObjectIDs", { objectIDs: ["B"] });
  await settled();
  assert.deepEqual(events.map((row) => row["type"]), ["cart"]);
});

test("what was paid goes with each item of a purchase", async () => {
  const { insightsClient, events } = shop({ user: "ann" });
  insightsClient("purchasedObjectIDs", { objectIDs: ["A", "B"], objectData: [{ price: "9.5", quantity: 2, queryID: "q" }, {}], value: 30, currency: "EUR" });
  insightsClient("purchasedObjectIDs", { objectIDs: ["C"], value: 7 });
  insightsClient("sendEvents", [{ eventType: "conversion", eventSubtype: "purchase", objectIDs: ["D"], timestamp: 1_790_000_000_000 }, { eventType: "instantsearch" }]);
  await settled();
  assert.deepEqual(events.map((row) => [row["item_id"], row["value"], row["request_id"], row["timestamp"]]), [
    ["A", 19, "q", undefined],
    ["B", undefined, undefined, undefined],
    ["C", 7, undefined, undefined],
    ["D", undefined, undefined, 1_790_000_000_000],
  ]);
});

test("searches and events are of the same user, who may change", async () => {
  const { searchClient, insightsClient, asked, events } = shop();
  const seen: unknown[] = [];
  insightsClient("onUserTokenChange", (token: unknown) => seen.push(token), { immediate: true });
  await searchClient.search([{ indexName: "items", params: { userToken: "anonymous-1" } }]);
  insightsClient("setUserToken", 7);
  insightsClient("getUserToken", null, (_: null, token: unknown) => seen.push(token));
  await searchClient.search([{ indexName: "items", params: { userToken: "anonymous-1" } }]);
  insightsClient("clickedObjectIDs", { objectIDs: ["A"] });
  await settled();
  assert.deepEqual(seen, [undefined, "7", "7"]);
  assert.deepEqual([...asked, ...events].map((row) => row["user"] ?? row["user_id"]), ["anonymous-1", "7", "7"]);
});

test("whoever names a session or a history stays who they are", async () => {
  const { searchClient, asked } = shop({ user: "ann", additionalSearchParameters: { session: "s" } });
  await searchClient.search([{ indexName: "items" }]);
  assert.deepEqual([asked[0]?.["session"], asked[0]?.["user"]], ["s", undefined]);
});

test("what could not be sent is told", async () => {
  const told: string[] = [];
  const { insightsClient } = shop({ onEventError: (error) => told.push(String(error)) });
  insightsClient("clickedObjectIDs", { objectIDs: ["A"] });
  insightsClient("setUserToken", "ann");
  insightsClient("clickedObjectIDs", { objectIDs: ["bad"] });
  insightsClient("addAlgoliaAgent", "whatever");
  await settled();
  assert.match(told.join("\n"), /no user is known.*\n.*item_id: is bad/);
  assert.equal(told.length, 2);
});
