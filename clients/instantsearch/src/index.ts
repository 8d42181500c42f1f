/**
 *     const { searchClient, insightsClient } = instantGemserve(new GemserveClient("http://127.0.0.1:8000"), { user: "ann" });
 *     instantsearch({ indexName: "items", searchClient, insights: { insightsClient } });
 */

import type { GemserveClient, SearchParameters } from "@gemserve/client";

import { found, MAX_FACET_VALUES, type FacetHits } from "./facet_hits.js";
import type { ColumnTypes } from "./filters.js";
import { insightsOf, type InsightsClient, type InsightsOptions, type Person } from "./insights.js";
import { Newest } from "./newest.js";
import { Pages } from "./pages.js";
import { asked, type Request } from "./requests.js";
import { resultOf, type Result } from "./responses.js";
import { Shown } from "./shown.js";

export type { ColumnTypes, FacetHits, InsightsClient, Request, Result };

export interface Options extends InsightsOptions {
  /** Whose searches and events these are; where not given, the token that InstantSearch makes when its insights are on. */
  user?: string;
  /** Of every question, such as `{ filter: "available" }`; a function is asked each time. */
  additionalSearchParameters?: SearchParameters | (() => SearchParameters);
  /** The columns that refinements narrow and that hold no text. */
  columnTypes?: ColumnTypes;
  /** Pages that can be reached, 20 unless given: a jump to page n may take n requests. */
  maxPages?: number;
}

/** What InstantSearch calls a search client. */
export interface SearchClient {
  search: (requests: readonly Request[]) => Promise<{ results: Result[] }>;
  searchForFacetValues: (requests: readonly Request[]) => Promise<FacetHits[]>;
}

export interface InstantGemserve {
  searchClient: SearchClient;
  /** For InstantSearch's `insights: { insightsClient }`. */
  insightsClient: InsightsClient;
}

export function instantGemserve(client: GemserveClient, options: Options = {}): InstantGemserve {
  const { additionalSearchParameters: given = {}, columnTypes = {}, maxPages = 20 } = options;
  const person: Person = { token: options.user };
  const shown = new Shown();
  const newest = new Newest<FacetHits>();
  const pages = new Pages((question) => client.ask(question), maxPages);

  function extra({ params }: Request): SearchParameters {
    const own = typeof given === "function" ? given() : given;
    const token = person.token ?? params?.userToken;
    const isSomebodys = token === undefined || "user" in own || "session" in own || "history" in own;
    return isSomebodys ? own : { ...own, user: token };
  }

  async function one(request: Request): Promise<Result> {
    const question = asked(request, extra(request), columnTypes);
    const { answer, isBehind } = await pages.page(question.question, question.page);
    const result = resultOf(request, question, answer, isBehind, maxPages);
    const query = question.question.q === "*" ? undefined : question.question.q;
    if (result.hits.length > 0) shown.add({ requestId: result.queryID, query }, result.hits.map((hit) => hit.objectID));
    return result;
  }

  async function values(request: Request): Promise<FacetHits> {
    const { facetName = "" } = request.params ?? {};
    const narrowed = { ...request.params, facets: [facetName], maxValuesPerFacet: MAX_FACET_VALUES, page: 0, hitsPerPage: 0 };
    return found(request, await one({ ...request, params: narrowed }));
  }

  return {
    searchClient: {
      search: async (requests) => ({ results: await Promise.all(requests.map(one)) }),
      searchForFacetValues: (requests) => Promise.all(requests.map((request, place) => newest.answer(nameOf(request, place), values(request)))),
    },
    insightsClient: insightsOf(client, shown, person, options),
  };
}

const nameOf = ({ indexName, params }: Request, place: number): string => JSON.stringify([place, indexName, params?.facetName]);
