/** The client of a gemserve server. */

import { Batch, batches, exporting, type Import, imports, itemOf, Lines } from "./batch.js";
import { type Call, MAX_EVENTS, ask, eventOf, eventsOf, following, loading, path, query, report } from "./endpoints.js";
import { Connection, type CallOptions, type ClientOptions } from "./connection.js";
import { GemserveError, isRecord } from "./errors.js";
import { idText, members, plain, plainId, plainList, plainMembers, plainRecord, type Plain } from "./plain.js";
import type {
  Activation,
  AnalyticsParameters,
  Answer,
  AuditPage,
  BasketParameters,
  BatchResult,
  BrowseParameters,
  Change,
  Erasure,
  Event,
  Experiment,
  ExperimentParameters,
  ExportParameters,
  History,
  Id,
  ImportOptions,
  Fleet,
  ImportResult,
  Item,
  ItemRecord,
  Key,
  KeyLimits,
  Merge,
  MetricsReport,
  Model,
  Models,
  NewKey,
  QueriesParameters,
  QueriesReport,
  Question,
  Readiness,
  Receipt,
  RecommendParameters,
  RerankDocument,
  RerankParameters,
  Reranking,
  Schema,
  SchemaChange,
  SchemaChanged,
  Scope,
  SearchParameters,
  ShelfParameters,
  SimilarParameters,
  NewOverride,
  NewSynonymSet,
  Override,
  OverrideDeleted,
  OverridesPage,
  OverrideWritten,
  SynonymSet,
  SynonymsDeleted,
  SuggestParameters,
  Suggestions,
  SynonymsPage,
  SynonymsWritten,
  Traffic,
  Version,
} from "./types.js";

/**
 * Every method rejects with a GemserveError, or with the reason of the `signal` that ended it. Failed connections and
 * the statuses 429 and 503 are tried again (see `Retries`) where a second time does no harm.
 */
export class GemserveClient {
  readonly #connection: Connection;

  constructor(url: string, options: ClientOptions = {}) {
    this.#connection = new Connection(url, options);
  }

  /** The items that fit what was typed; with a user, session or history, those that fit both. */
  async search(q: string, parameters: SearchParameters = {}, options?: CallOptions): Promise<Answer> {
    return this.ask({ kind: "search", ...members(parameters, "parameters"), q: plain(q, "q") as string }, options);
  }

  /** The items that a user, a session or a history asks for; one of the three has to be given. */
  async recommend(parameters: RecommendParameters, options?: CallOptions): Promise<Answer> {
    return this.ask({ kind: "recommend", ...members(parameters, "parameters") }, options);
  }

  /** Items like one of the catalog. */
  async similar(item: Id, parameters: SimilarParameters = {}, options?: CallOptions): Promise<Answer> {
    return this.ask({ kind: "similar", ...members(parameters, "parameters"), item: plainId(item, "item") }, options);
  }

  /** Everything that is available and meets the filter, the most popular first where `sort_by` says nothing. */
  async browse(parameters: BrowseParameters = {}, options?: CallOptions): Promise<Answer> {
    return this.ask({ kind: "browse", ...members(parameters, "parameters") }, options);
  }

  /** What is chosen most, by all events. */
  async popular(parameters: ShelfParameters = {}, options?: CallOptions): Promise<Answer> {
    return this.ask({ kind: "popular", ...members(parameters, "parameters") }, options);
  }

  /** What is chosen more than usual lately; the answer's `fallback` is "popular" where nothing is. */
  async trending(parameters: ShelfParameters = {}, options?: CallOptions): Promise<Answer> {
    return this.ask({ kind: "trending", ...members(parameters, "parameters") }, options);
  }

  /** The items that were written last. */
  async latest(parameters: ShelfParameters = {}, options?: CallOptions): Promise<Answer> {
    return this.ask({ kind: "latest", ...members(parameters, "parameters") }, options);
  }

  /** What people who took an item took too. */
  async boughtTogether(item: Id, parameters: ShelfParameters = {}, options?: CallOptions): Promise<Answer> {
    const own = members(parameters, "parameters");
    return this.ask({ kind: "bought_together", ...own, item: plainId(item, "item") }, options);
  }

  /** Items like those of a basket, 1 to 100, the newest last. */
  async similarToBasket(
    items: Iterable<Id>,
    parameters: Omit<BasketParameters, "items"> = {},
    options?: CallOptions,
  ): Promise<Answer> {
    return this.ask({ kind: "basket", ...members(parameters, "parameters"), items }, options);
  }

  /** What somebody may want who has begun to type; of nothing typed, what is popular. */
  async suggest(q = "", parameters: Omit<SuggestParameters, "q"> = {}, options?: CallOptions): Promise<Suggestions> {
    const { kinds, ...others } = members(parameters, "parameters");
    const named = kinds === undefined ? undefined : String(plainList(kinds, "kinds"));
    const given = Object.entries({ q, ...others, kinds: named }).filter(([, value]) => value !== undefined);
    const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
    return (await this.#connection.send({ method: "GET", path: `/suggest?${query}` }, options)) as Suggestions;
  }

  /** Documents, 1 to 1,000, in the order in which they fit a query. */
  async rerank(
    wanted: string,
    documents: Iterable<RerankDocument>,
    parameters: RerankParameters = {},
    options?: CallOptions,
  ): Promise<Reranking> {
    const given = plainMembers(parameters, "parameters", { user: plainId, session: plainId });
    const body = { ...given, query: plain(wanted, "query"), documents: plainList(documents, "documents") };
    return (await this.#connection.send({ method: "POST", path: "/v1/rerank", body }, options)) as Reranking;
  }

  async ask(question: Question, options?: CallOptions): Promise<Answer> {
    return (await this.#connection.send(ask(question), options)) as Answer;
  }

  /** All pages of an answer, the next one asked for when it is wanted. */
  async *pages(question: Question, options?: CallOptions): AsyncGenerator<Answer> {
    for (let wanted: Question | undefined = question; wanted !== undefined; ) {
      const answer: Answer = await this.ask(wanted, options);
      yield answer;
      wanted = following(wanted, answer);
    }
  }

  /**
   * Asks many questions at once; their results come as soon as each is ready or, if `ordered`, in order. 10,000 go into
   * a request; the next are taken from `questions` when those are answered. Leaving the loop ends the server's work.
   */
  async *batch(
    questions: Iterable<Question> | AsyncIterable<Question>,
    options: CallOptions & { ordered?: boolean } = {},
  ): AsyncGenerator<BatchResult> {
    for await (const batch of batches(questions)) yield* this.#results(batch, options);
  }

  /**
   * Writes items, each with its `id`: 10,000 a request, a thousand at a time; a result for each, in order. Leaving the
   * loop ends the import.
   */
  async *importItems(
    records: Iterable<Record<string, unknown>> | AsyncIterable<Record<string, unknown>>,
    options: CallOptions & ImportOptions = {},
  ): AsyncGenerator<ImportResult> {
    for await (const part of imports(records)) yield* this.#imported(part, part.call(options), options);
  }

  /** Writes sets of synonyms, each with its `id`, a thousand as one change; a result for each, in order. */
  async *importSynonyms(
    sets: Iterable<NewSynonymSet> | AsyncIterable<NewSynonymSet>,
    options: CallOptions = {},
  ): AsyncGenerator<ImportResult> {
    for await (const part of imports(sets)) yield* this.#imported(part, part.callOf("/synonyms/import"), options);
  }

  /** Writes overrides, each with its `id`, a thousand as one change; a result for each, in order. */
  async *importOverrides(
    overrides: Iterable<NewOverride & { id: Id }> | AsyncIterable<NewOverride & { id: Id }>,
    options: CallOptions = {},
  ): AsyncGenerator<ImportResult> {
    for await (const part of imports(overrides)) yield* this.#imported(part, part.callOf("/overrides/import"), options);
  }

  async *#imported(part: Import, call: Call, options: CallOptions): AsyncGenerator<ImportResult> {
    let last = "";
    for await (const [chunk, requestId] of this.#connection.stream(call, options)) {
      yield* part.take(chunk, requestId);
      last = requestId;
    }
    part.end(last);
  }

  /** All items that the catalog has when it begins, available or not, as an import takes them. */
  async *exportItems(parameters: ExportParameters = {}, options?: CallOptions): AsyncGenerator<Item> {
    const lines = new Lines();
    let last = "";
    for await (const [chunk, requestId] of this.#connection.stream(exporting(parameters), options)) {
      last = requestId;
      for (const line of lines.take(chunk)) yield itemOf(line, requestId);
    }
    lines.end(last);
  }

  /**
   * Tells what users did, 1,000 events at a time. Give events an `event_id` (see `newEvent`) to send them again. An
   * event that cannot be sent, such as one with a NaN, is among the `rejected`; the others are sent.
   */
  async sendEvents(events: Iterable<Event>, options?: CallOptions): Promise<Omit<Receipt, "request_id">> {
    const whole: Omit<Receipt, "request_id"> = { accepted: [], rejected: [] };
    const rows: { index: number; row: Record<string, Plain> }[] = [];
    for (const [index, event] of eventsOf(events).entries()) {
      try {
        rows.push({ index, row: eventOf(event) });
      } catch (cause) {
        if (!(cause instanceof GemserveError)) throw cause;
        const field = cause.errors[0]?.field ?? null;
        whole.rejected.push({ index, field, code: cause.code, reason: `event ${index}: ${cause.detail}` });
      }
    }
    for (let start = 0; start < rows.length; start += MAX_EVENTS) {
      const part = rows.slice(start, start + MAX_EVENTS);
      const { accepted, rejected } = await this.#sendEvents(part.map(({ row }) => row), options);
      const place = (index: number): number => part[index]?.index ?? index;
      whole.accepted.push(...accepted.map((row) => ({ ...row, index: place(row.index) })));
      whole.rejected.push(...rejected.map((row) => ({ ...row, index: place(row.index) })));
    }
    whole.rejected.sort((one, other) => one.index - other.index);
    return whole;
  }

  /** An item of the catalog, whether or not it is available. */
  async item(id: Id, options?: CallOptions): Promise<Item> {
    return (await this.#connection.send({ method: "GET", path: path`/items/${idText(id, "id")}` }, options)) as Item;
  }

  /** Writes a whole item, new or in place of the one there was. */
  async putItem(id: Id, record: ItemRecord, options?: CallOptions): Promise<Change> {
    const body = plainRecord(record, "record");
    const call = { method: "PUT", path: path`/items/${idText(id, "id")}`, body } as const;
    return (await this.#connection.send(call, options)) as Change;
  }

  /** Changes the named columns of an item, and clears those that are null; the others stay as they are. */
  async patchItem(id: Id, changes: ItemRecord, options?: CallOptions): Promise<Change> {
    const body = plainRecord(changes, "changes");
    const call = { method: "PATCH", path: path`/items/${idText(id, "id")}`, body } as const;
    return (await this.#connection.send(call, options)) as Change;
  }

  /** Writes 1 to 1,000 whole items, each with its `id`: all of them or, if one is not acceptable, none. */
  async putItems(records: Iterable<ItemRecord>, options?: CallOptions): Promise<Change> {
    const body = plainList(records, "records", plainRecord);
    return (await this.#connection.send({ method: "POST", path: "/items", body }, options)) as Change;
  }

  /** Takes an item out of all answers. A 404 may mean that a first attempt did, and its answer got lost. */
  async deleteItem(id: Id, options?: CallOptions): Promise<Change> {
    return (await this.#connection.send({ method: "DELETE", path: path`/items/${idText(id, "id")}` }, options)) as Change;
  }

  /** The columns of the catalog, and how many items have a value in each. */
  async schema(options?: CallOptions): Promise<Schema> {
    return (await this.#connection.send({ method: "GET", path: "/schema" }, options)) as Schema;
  }

  /** Gives the catalog further columns, which count at once, and takes empty ones of these away: all or none. */
  async patchSchema({ add = {}, drop = [] }: SchemaChange, options?: CallOptions): Promise<SchemaChanged> {
    const added = Object.entries(plainMembers(add, "add")).map(([name, type]) => ({ name, type }));
    const dropped = [...drop].map((name) => ({ name: plain(name, "drop"), drop: true }));
    const call = { method: "PATCH", path: "/schema", body: { columns: [...added, ...dropped] } } as const;
    return (await this.#connection.send(call, options)) as SchemaChanged;
  }

  /** What a user did, the newest first. */
  async history(user: Id, parameters: { limit?: number } = {}, options?: CallOptions): Promise<History> {
    const search = query(plainMembers(parameters, "parameters"));
    const call = { method: "GET", path: path`/users/${idText(user, "user")}/history` + search } as const;
    return (await this.#connection.send(call, options)) as History;
  }

  /** Moves what was recorded under a session into a user's history. A second time moves nothing. */
  async merge(user: Id, session: Id, options?: CallOptions): Promise<Merge> {
    const body = { session: plainId(session, "session") };
    const call = { method: "POST", path: path`/users/${idText(user, "user")}/merge`, body } as const;
    return (await this.#connection.send(call, options)) as Merge;
  }

  /** Forgets everything that a user, and the sessions merged into theirs, did before now. */
  async erase(user: Id, options?: CallOptions): Promise<Erasure> {
    const call = { method: "DELETE", path: path`/users/${idText(user, "user")}` } as const;
    return (await this.#connection.send(call, options)) as Erasure;
  }

  /** Has searches read words and phrases as each other, or only `root` as the others, in every server within a second. */
  async putSynonyms(
    id: Id,
    synonyms: Iterable<string>,
    root?: string | null,
    options?: CallOptions,
  ): Promise<SynonymsWritten> {
    const given = { synonyms: plainList(synonyms, "synonyms") };
    const body = root == null ? given : { ...given, root: plain(root, "root") };
    const call = { method: "PUT", path: path`/synonyms/${idText(id, "id")}`, body } as const;
    return (await this.#connection.send(call, options)) as SynonymsWritten;
  }

  /** The sets of synonyms by their ids; `cursor` is `next_cursor` of the page before. */
  async synonyms(
    page: { limit?: number; cursor?: string | null; q?: string } = {},
    options?: CallOptions,
  ): Promise<SynonymsPage> {
    return (await this.#connection.send({ method: "GET", path: `/synonyms${pageQuery(page)}` }, options)) as SynonymsPage;
  }

  /** One set of synonyms. */
  async synonymSet(id: Id, options?: CallOptions): Promise<SynonymSet> {
    const call = { method: "GET", path: path`/synonyms/${idText(id, "id")}` } as const;
    return (await this.#connection.send(call, options)) as SynonymSet;
  }

  /** Takes a set of synonyms away. */
  async deleteSynonyms(id: Id, options?: CallOptions): Promise<SynonymsDeleted> {
    const call = { method: "DELETE", path: path`/synonyms/${idText(id, "id")}` } as const;
    return (await this.#connection.send(call, options)) as SynonymsDeleted;
  }

  /** Pins, hides, filters or boosts items in the answers to queries that meet a rule, in every server within a second. */
  async putOverride(id: Id, override: NewOverride, options?: CallOptions): Promise<OverrideWritten> {
    const body = plainRecord(override, "override");
    const call = { method: "PUT", path: path`/overrides/${idText(id, "id")}`, body } as const;
    return (await this.#connection.send(call, options)) as OverrideWritten;
  }

  /** The overrides by their ids; `cursor` is `next_cursor` of the page before. */
  async overrides(
    page: { limit?: number; cursor?: string | null; q?: string } = {},
    options?: CallOptions,
  ): Promise<OverridesPage> {
    return (await this.#connection.send({ method: "GET", path: `/overrides${pageQuery(page)}` }, options)) as OverridesPage;
  }

  /** One override. */
  async override(id: Id, options?: CallOptions): Promise<Override> {
    const call = { method: "GET", path: path`/overrides/${idText(id, "id")}` } as const;
    return (await this.#connection.send(call, options)) as Override;
  }

  /** Takes an override away. */
  async deleteOverride(id: Id, options?: CallOptions): Promise<OverrideDeleted> {
    const call = { method: "DELETE", path: path`/overrides/${idText(id, "id")}` } as const;
    return (await this.#connection.send(call, options)) as OverrideDeleted;
  }

  /** The published bundles, and which of them answer. */
  async models(options?: CallOptions): Promise<Models> {
    return (await this.#connection.send({ method: "GET", path: "/admin/models" }, options)) as Models;
  }

  /** One bundle: how it was evaluated beside the baselines, and how far it is where it is about to be served. */
  async model(version: string, options?: CallOptions): Promise<Model> {
    const call = { method: "GET", path: path`/admin/models/${idText(version, "version")}` } as const;
    return (await this.#connection.send(call, options)) as Model;
  }

  /** Serves another bundle; answers when it does, which can take minutes. */
  async activate(version: string, options?: CallOptions): Promise<Activation> {
    const call = loading("POST", path`/admin/models/${idText(version, "version")}/activate`);
    return (await this.#connection.send(call, options)) as Activation;
  }

  /** Serves the bundle that was served before the last activation. */
  async rollBack(options?: CallOptions): Promise<Activation> {
    return (await this.#connection.send(loading("POST", "/admin/models/rollback"), options)) as Activation;
  }

  /** Has versions share the users among them by weight; answers when all of them do. */
  async setTraffic(weights: Record<string, number>, options?: CallOptions): Promise<Traffic> {
    const call = loading("PUT", "/admin/traffic", { weights: plainRecord(weights, "weights") });
    return (await this.#connection.send(call, options)) as Traffic;
  }

  /** Has the current version answer everybody. */
  async clearTraffic(options?: CallOptions): Promise<Traffic> {
    return (await this.#connection.send(loading("DELETE", "/admin/traffic"), options)) as Traffic;
  }

  /** What the servers of a fleet serve together, and each of them. */
  async fleet(options?: CallOptions): Promise<Fleet> {
    return (await this.#connection.send({ method: "GET", path: "/admin/fleet" }, options)) as Fleet;
  }

  /** The server's keys, without their secrets. */
  async keys(options?: CallOptions): Promise<Key[]> {
    return (await this.#connection.send({ method: "GET", path: "/admin/keys" }, options)) as Key[];
  }

  /** A new key, with its own limits if any. Only this answer has the key. */
  async createKey(
    name: string,
    scopes: Iterable<Scope>,
    limits: KeyLimits = {},
    options?: CallOptions,
  ): Promise<NewKey> {
    const given = { name: plain(name, "name"), scopes: plainList(scopes, "scopes") };
    const body = { ...given, ...plainMembers(limits, "limits") };
    const call = { method: "POST", path: "/admin/keys", body, repeat: "undone" } as const;
    return (await this.#connection.send(call, options)) as NewKey;
  }

  /** The key opens nothing from now on. */
  async revokeKey(id: string, options?: CallOptions): Promise<void> {
    await this.#connection.send({ method: "DELETE", path: path`/admin/keys/${idText(id, "id")}` }, options);
  }

  /** The latest changes and who made them, the newest first; `cursor` is `next_cursor` of the page before. */
  async audit(page: { limit?: number; cursor?: string | null } = {}, options?: CallOptions): Promise<AuditPage> {
    return (await this.#connection.send({ method: "GET", path: `/admin/audit${pageQuery(page)}` }, options)) as AuditPage;
  }

  /** What people searched for most, with clicks, conversions and their intervals. */
  async analyticsQueries(parameters: QueriesParameters = {}, options?: CallOptions): Promise<QueriesReport> {
    return (await this.#report("queries", parameters, options)) as QueriesReport;
  }

  /** What people searched for and nothing ever fitted. */
  async analyticsNoResults(parameters: QueriesParameters = {}, options?: CallOptions): Promise<QueriesReport> {
    return (await this.#report("no-results", parameters, options)) as QueriesReport;
  }

  /** What people searched for and never clicked an answer of. */
  async analyticsNoClicks(parameters: QueriesParameters = {}, options?: CallOptions): Promise<QueriesReport> {
    return (await this.#report("no-clicks", parameters, options)) as QueriesReport;
  }

  /** Answers, clicks, positions and conversions by model, kind of answer and day. */
  async analyticsMetrics(parameters: AnalyticsParameters = {}, options?: CallOptions): Promise<MetricsReport> {
    return (await this.#report("metrics", parameters, options)) as MetricsReport;
  }

  /** Which version's users reach a goal more often, and whether that is decided; look at it as often as you like. */
  async analyticsExperiment(parameters: ExperimentParameters = {}, options?: CallOptions): Promise<Experiment> {
    return (await this.#report("experiment", parameters, options)) as Experiment;
  }

  /** Which model answers, over which catalog. */
  async version(options?: CallOptions): Promise<Version> {
    return (await this.#connection.send({ method: "GET", path: "/version" }, options)) as Version;
  }

  /** Whether the server can answer now. Rejects, at once, with status 503 where it cannot. */
  async ready(options?: CallOptions): Promise<Readiness> {
    const call = { method: "GET", path: "/health/ready", repeat: "never" } as const;
    return (await this.#connection.send(call, options)) as Readiness;
  }

  async #report(name: string, parameters: unknown, options?: CallOptions): Promise<unknown> {
    return this.#connection.send({ method: "GET", path: report(name, parameters) }, options);
  }

  async *#results(batch: Batch, options: CallOptions & { ordered?: boolean }): AsyncGenerator<BatchResult> {
    let last = "";
    for await (const [chunk, requestId] of this.#connection.stream(batch.call(options.ordered ?? false), options)) {
      yield* batch.take(chunk, requestId);
      last = requestId;
    }
    batch.end(last);
  }

  /** The server answers a problem where no event was acceptable; among many requests that is one row's matter too. */
  async #sendEvents(rows: Record<string, Plain>[], options?: CallOptions): Promise<Omit<Receipt, "request_id">> {
    try {
      return (await this.#connection.send({ method: "POST", path: "/events", body: rows }, options)) as Receipt;
    } catch (error) {
      const rejected = error instanceof GemserveError ? error.members["rejected"] : undefined;
      if (!Array.isArray(rejected) || !rejected.every(isRecord)) throw error;
      return { accepted: [], rejected: rejected as unknown as Receipt["rejected"] };
    }
  }
}

function pageQuery(page: { limit?: number; cursor?: string | null; q?: string }): string {
  const query = new URLSearchParams();
  if (page.limit !== undefined) query.set("limit", String(page.limit));
  if (page.cursor != null) query.set("cursor", page.cursor);
  if (page.q !== undefined) query.set("q", page.q);
  return query.size > 0 ? `?${query}` : "";
}
