/** The shapes that go over the wire, by the names that people use, taken from the server's own OpenAPI document. */

import type { paths } from "./schema.js";

type Success = 200 | 201 | 202;

type JsonAnswer<Operation> = Operation extends { responses: infer Responses }
  ? Responses[keyof Responses & Success] extends { content: { "application/json": infer Body } }
    ? Body
    : never
  : never;

type JsonBody<Operation> = Operation extends { requestBody?: { content: { "application/json": infer Body } } }
  ? Body
  : never;

type QueryOf<Operation> = Operation extends { parameters: { query?: infer Query } } ? NonNullable<Query> : never;

/** Items, the best first, and `next_cursor` for the next page. */
export type Answer = JsonAnswer<paths["/search"]["post"]>;
export type ScoredItem = Answer["items"][number];
export type Item = JsonAnswer<paths["/items/{item_id}"]["get"]>;
export type Receipt = JsonAnswer<paths["/events"]["post"]>;
export type Change = JsonAnswer<paths["/items"]["post"]>;
export type AuditPage = JsonAnswer<paths["/admin/audit"]["get"]>;
export type QueriesReport = JsonAnswer<paths["/analytics/queries"]["get"]>;
export type MetricsReport = JsonAnswer<paths["/analytics/metrics"]["get"]>;
export type Experiment = JsonAnswer<paths["/analytics/experiment"]["get"]>;
export type SynonymSet = JsonAnswer<paths["/synonyms/{set_id}"]["get"]>;
export type SuggestParameters = NonNullable<paths["/suggest"]["get"]["parameters"]["query"]>;
export type Suggestions = JsonAnswer<paths["/suggest"]["get"]>;
/** What is asked of documents: ids or titles of items, other texts, or objects with an `id`, a `text` or both. */
export type RerankParameters = Omit<JsonBody<paths["/v1/rerank"]["post"]>, "query" | "documents">;
export type RerankDocument = JsonBody<paths["/v1/rerank"]["post"]>["documents"][number];
export type Reranking = JsonAnswer<paths["/v1/rerank"]["post"]>;
export type Schema = JsonAnswer<paths["/schema"]["get"]>;
export type SchemaChange = { add?: Record<string, ColumnType>; drop?: Iterable<string> };
export type SchemaChanged = JsonAnswer<paths["/schema"]["patch"]>;
export type ColumnType = Schema["columns"][number]["type"];
export type SynonymsPage = JsonAnswer<paths["/synonyms"]["get"]>;
export type SynonymsWritten = JsonAnswer<paths["/synonyms/{set_id}"]["put"]>;
export type SynonymsDeleted = JsonAnswer<paths["/synonyms/{set_id}"]["delete"]>;
/** What happens in the answers to queries that meet a rule. */
export type NewOverride = JsonBody<paths["/overrides/{override_id}"]["put"]>;
export type NewSynonymSet = JsonBody<paths["/synonyms/{set_id}"]["put"]> & { id: Id };
export type Override = JsonAnswer<paths["/overrides/{override_id}"]["get"]>;
export type OverridesPage = JsonAnswer<paths["/overrides"]["get"]>;
export type OverrideWritten = JsonAnswer<paths["/overrides/{override_id}"]["put"]>;
export type OverrideDeleted = JsonAnswer<paths["/overrides/{override_id}"]["delete"]>;
export type History = JsonAnswer<paths["/users/{user}/history"]["get"]>;
export type Merge = JsonAnswer<paths["/users/{user}/merge"]["post"]>;
export type Erasure = JsonAnswer<paths["/users/{user}"]["delete"]>;
export type Models = JsonAnswer<paths["/admin/models"]["get"]>;
export type Model = JsonAnswer<paths["/admin/models/{version}"]["get"]>;
export type Activation = JsonAnswer<paths["/admin/models/rollback"]["post"]>;
export type Fleet = JsonAnswer<paths["/admin/fleet"]["get"]>;
export type Traffic = JsonAnswer<paths["/admin/traffic"]["put"]>;
export type Key = JsonAnswer<paths["/admin/keys"]["get"]>[number];
export type NewKey = JsonAnswer<paths["/admin/keys"]["post"]>;
export type Version = JsonAnswer<paths["/version"]["get"]>;
export type Readiness = JsonAnswer<paths["/health/ready"]["get"]>;

type Search = JsonBody<paths["/search"]["post"]>;
type Recommend = JsonBody<paths["/recommend"]["post"]>;
type Browse = QueryOf<paths["/items"]["get"]>;
type Shelf = QueryOf<paths["/popular"]["get"]>;
type Basket = JsonBody<paths["/similar"]["post"]>;
type Similar = QueryOf<paths["/items/{item_id}/similar"]["get"]>;

/** Of a user, a session or an item: a whole number is the text of its digits. */
export type Id = string | number | bigint;

type PastType = Exclude<Event["type"], "impression">;
/** An item of a visitor's history; a view where it has no `type`. */
type Past<Name extends string> = { [name in Name]: Id } & { query?: string; type?: PastType };

/** What programs may hold where the wire has texts, numbers and lists: big integers, sets, generators. */
interface Wider {
  user?: Id | null;
  user_id?: Id | null;
  session?: Id | null;
  session_id?: Id | null;
  candidates?: Iterable<Id> | null;
  fields?: Iterable<string> | null;
  facets?: Iterable<string> | null;
  hidden_hits?: Iterable<Id> | null;
  override_tags?: Iterable<string> | null;
  exclude_seen?: boolean | string | Iterable<PastType> | null;
  history?: Iterable<Id | Past<"item_id"> | Past<"item">> | null;
}
type Widened<Parameters> = Omit<Parameters, keyof Wider> & Pick<Wider, keyof Wider & keyof Parameters>;

export type SearchParameters = Omit<Widened<Search>, "q">;
export type RecommendParameters = Widened<Recommend>;
export type SimilarParameters = Widened<Similar>;
export type ShelfParameters = Widened<Shelf>;
export type BasketParameters = Widened<Basket>;
export type BrowseParameters = Widened<Browse>;

/** A question that can be asked page by page, with `pages`, or among many, with `batch`. */
export type Question =
  | ({ kind: "search" } & Widened<Search>)
  | ({ kind: "recommend" } & Widened<Recommend>)
  | ({ kind: "similar"; item: Id } & SimilarParameters)
  | ({ kind: "basket"; items: Iterable<Id> } & Omit<BasketParameters, "items">)
  | ({ kind: "popular" | "trending" | "latest" } & ShelfParameters)
  | ({ kind: "bought_together"; item: Id } & ShelfParameters)
  | ({ kind: "browse" } & BrowseParameters);

/** A whole item: what it leaves out is null. */
export type ItemRecord = Record<string, unknown>;

/** One thing that a user did with an item. The client makes an `event_id` where there is none (see `newEvent`). */
export interface Event {
  user_id: Id;
  item_id: Id;
  type: "view" | "click" | "cart" | "purchase" | "rating" | "dislike" | "impression";
  /** Unix milliseconds, a Date, or ISO 8601 text with a zone; the time of arrival where absent. */
  timestamp?: number | bigint | string | Date;
  /** What the user had typed, where it was a search. */
  query?: string;
  event_id?: string;
  /** Of the answer that showed the item. */
  request_id?: string;
  /** Of a rating the stars, of a purchase the money. */
  value?: number;
}

/** Days by UTC, both included, as "2026-11-01" or a Date; 30 of them up to today where nothing is said. */
interface Days {
  first?: string | Date;
  last?: string | Date;
}

export type AnalyticsParameters = Omit<QueryOf<paths["/analytics/metrics"]["get"]>, keyof Days> & Days;
export type QueriesParameters = Omit<QueryOf<paths["/analytics/queries"]["get"]>, keyof Days> & Days;
export type ExperimentParameters = Pick<QueryOf<paths["/analytics/experiment"]["get"]>, "goal"> & Days;

export type Scope = "read" | "write" | "admin";

export interface KeyLimits {
  rate_per_second?: number;
  burst?: number;
  concurrency?: number;
  /** From when on it is no key any more; in ISO 8601 with a time zone. */
  expires_at?: string | Date;
  /** The only items that it sees, and takes events about. */
  filter_by?: string;
  /** The only ones that it opens, such as "POST /search", by which this client asks. */
  routes?: string[];
}

/** What came of one question of a batch, the `index`-th that was asked. */
export type BatchResult =
  | { index: number; question: Question; answer: Answer; error?: undefined }
  | { index: number; question: Question; error: import("./errors.js").GemserveError; answer?: undefined };

export interface ImportOptions {
  /** upsert unless given: whole items. `update`: the columns that each names; `emplace`: as update, or new items too. */
  action?: "create" | "upsert" | "update" | "emplace";
  /** Only checks. */
  dryRun?: boolean;
}

/** What came of one item of an import, the `index`-th that was sent. */
export type ImportResult =
  | { index: number; id: string | null; result: "inserted" | "replaced" | "updated" | "unchanged"; error?: undefined }
  | { index: number; id: string | null; error: import("./errors.js").GemserveError; result?: undefined };

export interface ExportParameters {
  filter?: string;
  fields?: readonly string[];
}
