/**
 * The shapes that the modules of this page share, for editors and reviewers; nothing here runs.
 *
 * @typedef {{kind: "user" | "visitor", id: string}} Person  a visitor has no account; their id is kept in this browser
 *
 * @typedef {{code: string, item: string | null, text: string, source: string}} Reason
 *
 * @typedef {object} Match  a word of a search in a text of an item
 * @property {string} word
 * @property {string} field
 * @property {number} start  in code points
 * @property {number} end
 * @property {number | null} index  of several categories, which one
 *
 * @typedef {{code: string, probability: number}} Level
 *
 * @typedef {{levels: Level[], history_effect: number | null, shares: Record<string, number>}} Explanation
 *
 * @typedef {object} Item  further columns of the catalog lie beside these
 * @property {string} id
 * @property {string | null} title
 * @property {number} [score]
 * @property {number | null} [relevance]  how likely it is what the question wants
 * @property {Reason} [reason]
 * @property {Match[] | null} [matched]
 * @property {Explanation} [explanation]
 * @property {string | null} [description]
 * @property {string | null} [brand]
 * @property {string[] | null} [categories]
 * @property {number | null} [price]
 *
 * @typedef {{min: number | null, max: number | null}} PriceRange
 *
 * @typedef {{id: string, word: string, read_as: string}} ReadAs
 * @typedef {{filter?: string | null, price?: PriceRange | null, query: string, synonyms?: ReadAs[]}} Understanding
 *
 * @typedef {object} Answer
 * @property {string} request_id
 * @property {Item[]} items
 * @property {string | null} [next_cursor]
 * @property {string} model
 * @property {number} catalog_version
 * @property {number} took_ms
 * @property {boolean} degraded
 * @property {string | null} [corrected_query]
 * @property {number | null} [total]  items that are counted; the further ones come where facets were asked for
 * @property {"allowed" | "matching" | "answer" | null} [total_is]
 * @property {Record<string, Record<string, number>> | null} [facetDistribution]  by column and value, the commonest first
 * @property {Record<string, {min: number, max: number}> | null} [facetStats]  of columns that hold numbers
 * @property {"all" | "some" | "none" | null} [fit]  how well the catalog fits a guided search
 * @property {Understanding | null} [understood]  what was read beyond words
 *
 * @typedef {{text: string, start: number}} SuggestedQuery  from start on, in code points, it completes what was typed
 * @typedef {{column: string, value: string, count: number, start: number, end: number}} SuggestedValue  start to end was typed
 * @typedef {{queries: SuggestedQuery[], categories: SuggestedValue[], items: (Item & {start: number, end: number})[]}} Suggestions
 *
 * @typedef {object} Question  parameters of /search (with q) or /recommend (without)
 * @property {string} [q]
 * @property {string} [user]
 * @property {string} [session]
 * @property {number} [k]
 * @property {string} [cursor]
 * @property {string} [filter]
 * @property {string} [candidates]
 * @property {string} [sort_by]
 * @property {string} [facets]
 * @property {number} [max_facet_values]
 * @property {boolean} [disjunctive_facets]
 * @property {boolean} [exclude_seen]
 * @property {boolean} [explain]
 * @property {boolean} [correct]  false: take the words as they were typed
 * @property {boolean} [understand]  false: read no prices and synonyms in them
 * @property {string} [fields]
 *
 * @typedef {object} Visit  one event of a history
 * @property {string} item_id
 * @property {string | null} title
 * @property {string | null} query
 * @property {string} type
 * @property {number} timestamp  Unix milliseconds
 *
 * @typedef {{milliseconds: number, answer: Answer}} Timing
 *
 * @typedef {object} Shown  where an item was shown, and so what led to a click on it
 * @property {string | null} query
 * @property {string | null} request  id of the answer
 *
 * @typedef {object} State
 * @property {Person} person
 * @property {string} query  "" on the home page
 * @property {string} filter  "" for every item
 * @property {string} sort  as sort_by takes it; "" for relevance
 * @property {number} visits  grows with every event that was recorded
 */
export {};
