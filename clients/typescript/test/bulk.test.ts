/** Imports and exports, without a network. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Shop, collect, text } from "./shop.js";

const RECORDS = [{ id: "A", price: 3 }, { id: "B" }];

function lines(...rows: object[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join("");
}

test("an import is lines with a result for each", async () => {
  const problem = { status: 404, code: "item_not_found", detail: "no such item" };
  const shop = new Shop(text(lines({ index: 0, id: "A", result: "updated" }, { index: 1, id: "B", problem })));
  const [first, second] = await collect(shop.client().importItems(RECORDS, { action: "update", dryRun: true }));
  assert.equal(shop.asked[0]?.body, '{"id":"A","price":3}\n{"id":"B"}');
  assert.match(shop.asked[0]?.url ?? "", /\/items\/import\?action=update&dry_run=true$/);
  assert.deepEqual(first, { index: 0, id: "A", result: "updated" });
  assert.deepEqual([second?.index, second?.id, second?.error?.code], [1, "B", "item_not_found"]);
});

test("an import that ends early says so", async () => {
  const shop = new Shop(text(lines({ index: 0, id: "A", result: "inserted" })));
  await assert.rejects(collect(shop.client().importItems(RECORDS)), { code: "connection_failed" });
  const strange = new Shop(text(lines({ index: 1, id: "A", result: "inserted" })));
  await assert.rejects(collect(strange.client().importItems(RECORDS)), { code: "unexpected_answer" });
});

test("many synonyms and overrides are lines with a result for each", async () => {
  const answer = () => text(lines({ index: 0, id: "a", result: "inserted" }));
  const shop = new Shop(answer(), answer());
  const client = shop.client();
  assert.equal((await collect(client.importSynonyms([{ id: "a", synonyms: ["sofa", "couch"] }]))).length, 1);
  await collect(client.importOverrides([{ id: "a", rule: { query: "tent" }, excludes: ["x"] }]));
  assert.match(shop.asked[0]?.url ?? "", /\/synonyms\/import$/);
  assert.equal(shop.asked[0]?.body, '{"id":"a","synonyms":["sofa","couch"]}');
  assert.match(shop.asked[1]?.url ?? "", /\/overrides\/import$/);
});

test("an export is items", async () => {
  const rows = [
    { id: "A", title: "Tent", price: 80 },
    { id: "B", title: null, price: 3 },
  ];
  const shop = new Shop(text(lines(...rows)), text(`${JSON.stringify(rows[0])}\n{"id"`));
  assert.deepEqual(await collect(shop.client().exportItems({ filter: "price > 2", fields: ["price"] })), rows);
  assert.match(shop.asked[0]?.url ?? "", /\/items\/export\?filter=price\+%3E\+2&fields=price$/);
  await assert.rejects(collect(shop.client().exportItems()), { code: "connection_failed" });
});
