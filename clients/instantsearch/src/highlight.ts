/**
 * `_highlightResult` of a hit. Its texts are not escaped: InstantSearch asks for tags that no text has, escapes what it
 * gets, and only then puts its own tags in their place.
 */

export interface Match {
  word: string;
  field: string;
  /** In code points. */
  start: number;
  end: number;
  index?: number | null;
}

export interface Highlight {
  value: string;
  matchLevel: "none" | "full";
  matchedWords: string[];
}

export type Highlights = Record<string, Highlight | Highlight[]>;

/** Of all columns that hold texts or lists of texts. */
export function highlights(item: Record<string, unknown>, matches: readonly Match[], before: string, after: string): Highlights {
  const result: Highlights = {};
  const of = (text: string, column: string, index: number | null): Highlight =>
    highlight(text, matches.filter((match) => match.field === column && (match.index ?? null) === index), before, after);
  for (const [column, value] of Object.entries(item)) {
    if (typeof value === "string") result[column] = of(value, column, null);
    if (Array.isArray(value) && value.every((part) => typeof part === "string")) {
      result[column] = value.map((part: string, index) => of(part, column, index));
    }
  }
  return result;
}

function highlight(text: string, matches: readonly Match[], before: string, after: string): Highlight {
  const characters = [...text];
  let value = "";
  let end = 0;
  for (const match of [...matches].sort((one, other) => one.start - other.start)) {
    if (match.start < end) continue;
    value += characters.slice(end, match.start).join("") + before + characters.slice(match.start, match.end).join("") + after;
    end = match.end;
  }
  value += characters.slice(end).join("");
  const matchedWords = [...new Set(matches.map((match) => match.word))];
  return { value, matchLevel: matches.length > 0 ? "full" : "none", matchedWords };
}
