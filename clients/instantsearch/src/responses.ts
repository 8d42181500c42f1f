/** gemserve's answer as InstantSearch reads Algolia's. */

import type { Answer } from "@gemserve/client";

import { highlights, type Highlights, type Match } from "./highlight.js";
import type { Asked, Request } from "./requests.js";

export interface Hit {
  objectID: string;
  _highlightResult: Highlights;
  [column: string]: unknown;
}

export interface Result {
  hits: Hit[];
  nbHits: number;
  page: number;
  nbPages: number;
  hitsPerPage: number;
  facets?: Record<string, Record<string, number>>;
  facets_stats?: Record<string, { min: number; max: number; avg: number; sum: number }>;
  exhaustiveNbHits: boolean;
  exhaustiveFacetsCount: boolean;
  processingTimeMS: number;
  query: string;
  params: string;
  index: string;
  /** The answer's `request_id`: events that name it can be joined to it. */
  queryID: string;
}

/** answer: undefined where the page lies behind the last. */
export function resultOf(request: Request, { page, hitsPerPage }: Asked, answer: Answer, isBehind: boolean, maxPages: number): Result {
  const { query = "", highlightPreTag: before = "<em>", highlightPostTag: after = "</em>" } = request.params ?? {};
  const items = hitsPerPage === 0 || isBehind ? [] : answer.items;
  const isCounted = answer.total_is !== "answer" && typeof answer.total === "number";
  const reached = page * hitsPerPage + items.length + (answer.next_cursor ? 1 : 0); // at least so many there are
  const nbHits = isCounted ? (answer.total as number) : reached;
  const nbPages = hitsPerPage === 0 ? 0 : Math.min(maxPages, Math.ceil(nbHits / hitsPerPage));
  return {
    hits: items.map((item) => {
      const { id, matched, ...columns } = item as Record<string, unknown> & { id: string; matched?: Match[] | null };
      return { ...columns, objectID: id, _highlightResult: highlights({ ...columns, objectID: id }, matched ?? [], before, after) };
    }),
    nbHits,
    page,
    nbPages,
    hitsPerPage,
    ...(answer.facetDistribution && { facets: answer.facetDistribution as Record<string, Record<string, number>> }),
    ...(answer.facetStats && { facets_stats: answer.facetStats as NonNullable<Result["facets_stats"]> }),
    exhaustiveNbHits: isCounted,
    exhaustiveFacetsCount: isCounted,
    processingTimeMS: Math.round(answer.took_ms),
    query,
    params: "",
    index: request.indexName,
    queryID: answer.request_id,
  };
}
