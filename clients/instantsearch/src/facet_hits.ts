/** The values of a column that have a text, out of the commonest ones. */

import type { Request } from "./requests.js";
import type { Result } from "./responses.js";

export interface FacetHits {
  facetHits: { value: string; highlighted: string; count: number }[];
  exhaustiveFacetsCount: boolean;
  processingTimeMS: number;
}

export const MAX_FACET_VALUES = 100;

/** result: with MAX_FACET_VALUES values of the column. */
export function found({ params = {} }: Request, result: Result): FacetHits {
  const { facetName = "", facetQuery = "", maxFacetHits = 10 } = params;
  const { highlightPreTag: before = "<em>", highlightPostTag: after = "</em>" } = params;
  const typed = new RegExp(facetQuery.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"), "iu");
  const counts = Object.entries(result.facets?.[facetName] ?? {});
  const facetHits = counts.flatMap(([value, count]) => {
    const match = typed.exec(value);
    if (match === null) return [];
    const highlighted = facetQuery === "" ? value : value.replace(typed, (part) => before + part + after);
    return [{ value, highlighted, count }];
  });
  return {
    facetHits: facetHits.slice(0, maxFacetHits),
    exhaustiveFacetsCount: result.exhaustiveFacetsCount && counts.length < MAX_FACET_VALUES,
    processingTimeMS: result.processingTimeMS,
  };
}
