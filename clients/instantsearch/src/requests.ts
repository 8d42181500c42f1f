/** What InstantSearch asks, as a question to gemserve. */

import type { SearchParameters } from "@gemserve/client";

import { MAX_FACET_VALUES } from "./facet_hits.js";
import { filterOf, type ColumnTypes } from "./filters.js";

/** The parameters of Algolia's queries that are read; InstantSearch sends further ones, which change nothing here. */
export interface QueryParams {
  query?: string;
  page?: number;
  hitsPerPage?: number;
  facets?: string | readonly string[];
  maxValuesPerFacet?: number;
  facetFilters?: unknown;
  numericFilters?: unknown;
  filters?: string;
  attributesToRetrieve?: readonly string[];
  highlightPreTag?: string;
  highlightPostTag?: string;
  facetName?: string;
  facetQuery?: string;
  maxFacetHits?: number;
  userToken?: string;
}

export interface Request {
  indexName: string;
  params?: QueryParams;
}

export interface Asked {
  /** Of a search; `q` is `*` where nothing was typed. */
  question: SearchParameters & { kind: "search"; q: string; k: number };
  /** The first is 0. */
  page: number;
  /** 0 where only counts are wanted. */
  hitsPerPage: number;
}

const SORT = "/sort/";
const MAX_K = 200;

/** Throws an Error that says what cannot be asked. */
export function asked(request: Request, extra: SearchParameters, types: ColumnTypes): Asked {
  const params = request.params ?? {};
  const hitsPerPage = Math.min(params.hitsPerPage ?? 20, MAX_K);
  const filter = [extra.filter, filterOf(params, types)].filter(Boolean).map((part) => `(${part})`).join(" and ");
  const facets = [params.facets ?? []].flat();
  const sort = request.indexName.split(SORT)[1];
  const query = params.query?.trim() ?? "";
  return {
    page: params.page ?? 0,
    hitsPerPage,
    question: {
      ...extra,
      kind: "search",
      q: query === "" ? "*" : query,
      k: Math.max(1, hitsPerPage),
      total: true,
      ...(filter !== "" && { filter }),
      ...(facets.length > 0 && { facets, max_facet_values: Math.min(params.maxValuesPerFacet ?? 10, MAX_FACET_VALUES) }),
      ...(sort !== undefined && { sort_by: sort }),
    },
  };
}
