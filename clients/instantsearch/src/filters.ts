/** Algolia's facetFilters and numericFilters as one filter of gemserve's grammar. */

/** Of columns that hold no text: what a refinement of them is written as. */
export type ColumnTypes = Readonly<Record<string, "number" | "boolean">>;

interface Filters {
  facetFilters?: unknown;
  numericFilters?: unknown;
  filters?: string;
}

const PLAIN_COLUMN = /^[A-Za-z_][A-Za-z0-9_.]*$/;
const RESERVED = new Set(["and", "or", "not", "in", "contains", "exists", "true", "false"]);
const NUMERIC = /^(.+?)\s*(<=|>=|!=|<|>|=)\s*(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)$/;

/** "" for every item. `filters` is gemserve's own grammar and stays as it is. */
export function filterOf({ facetFilters, numericFilters, filters }: Filters, types: ColumnTypes): string {
  const parts = [
    ...conjunction(facetFilters, (text) => facetCondition(text, types)),
    ...conjunction(numericFilters, numericCondition),
    ...(filters ? [`(${filters})`] : []),
  ];
  return parts.join(" and ");
}

/** A list holds conditions that all count, a list inside it such of which one is enough. */
function conjunction(given: unknown, condition: (text: string) => string): string[] {
  if (given === undefined || given === null || given === "") return [];
  const members = Array.isArray(given) ? given : [given];
  return members.flatMap((member: unknown) => {
    const choices = (Array.isArray(member) ? member : [member]).map((text: unknown) => condition(String(text)));
    return choices.length > 1 ? [`(${choices.join(" or ")})`] : choices;
  });
}

function facetCondition(text: string, types: ColumnTypes): string {
  const end = text.indexOf(":");
  if (end <= 0) throw new Error(`facetFilters: ${JSON.stringify(text)} is no condition: write column:value`);
  const column = text.slice(0, end);
  const rest = text.slice(end + 1);
  const isNegative = rest.startsWith("-");
  const value = isNegative || rest.startsWith("\\-") ? rest.slice(1) : rest; // \- is a minus that belongs to the value
  return `${isNegative ? "not " : ""}${nameOf(column)} = ${types[column] === undefined ? quoted(value) : value}`;
}

function numericCondition(text: string): string {
  const [, column, operator, number] = NUMERIC.exec(text.trim()) ?? [];
  if (column === undefined) throw new Error(`numericFilters: ${JSON.stringify(text)} is no condition: write price<=20`);
  return `${nameOf(column)} ${operator} ${number}`;
}

const nameOf = (column: string): string =>
  PLAIN_COLUMN.test(column) && !RESERVED.has(column.toLowerCase()) ? column : `\`${column.replaceAll("`", "``")}\``;

const quoted = (text: string): string =>
  `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n").replaceAll("\r", "\\r")}"`;
