"""Filters: expressions over the columns of the items, as a person writes them into a URL.

    category = "Tents" and price < 200 and not colour in ("red", "pink") and available

`parse` reads one, `Filter.mask` tells for every item whether it meets it, `compile_filter` does both. Whatever is
wrong raises FilterError with the place of the mistake; syntax is judged by `parse`, columns and types by `mask`.

The grammar (EBNF). Keywords are written in any case; white space is free between symbols.

    filter     = all, { "or", all } ;
    all        = negation, { "and", negation } ;
    negation   = { "not" }, condition ;
    condition  = "(", filter, ")"
               | "exists", "(", column, ")"
               | column, [ test ] ;                          a column alone must hold true or false
    test       = ( "=" | "==" | "!=" | "<" | "<=" | ">" | ">=" ), value
               | [ "not" ], "in", "(", value, { ",", value }, ")"
               | [ "not" ], "contains", string ;
    column     = ( letter | "_" ), { letter | digit | "_" | "." }          letters and digits of ASCII
               | "`", { any character but "`" | "``" }, "`" ;              any other name; "``" stands for "`"
    value      = string | number | "true" | "false" ;
    string     = '"', { character | escape }, '"' | "'", { character | escape }, "'" ;
    escape     = "\\", ( "\\" | '"' | "'" | "n" | "r" | "t" ) ;
    number     = [ "-" ], digits, [ ".", digits ], [ ( "e" | "E" ), [ "+" | "-" ], digits ] ;

A filter has at most 4,096 characters, as given and in its canonical form, 32 conditions, 8 of them `contains`, 64
levels of brackets and `not`, and 1,000 values in one list.

Where the items have no such column, `category` means `categories` and `id` means `item_id`. What a test means depends
on what the column holds:

    strings            `=`, `in`; `<` and its like by code point; `contains`: has the text as a part, letter case apart
                       (each letter is lowered by itself, so "ß" is not "ss")
    numbers            `=`, `in`, `<` and its like, all exact: an integer is never rounded to a float, and a 32-bit
                       float is the double that it equals (so a stored 0.1 is 0.10000000149, not 0.1)
    true or false      `=`, `in`, and the column alone
    lists of strings   `=`: has this element; `in`: has one of these; `exists`: has an element at all
    dates and times    `=`, `in`, `<` and its like, with an ISO 8601 string; a date is its midnight, and what says no
                       time zone is in UTC

Logic has two values. A test of a missing value is false (NaN is missing too), and `not` turns false to true:
`not price < 200` holds for items without a price. `a != b`, `not in` and `not contains` are exactly `not (a = b)` and
so on. `exists(column)` is true where a value is there.
"""

from catalog.filters.conjuncts import columns_of, conjuncts
from catalog.filters.filter import MAX_CHARACTERS, Filter, compile_filter, parse

__all__ = ["MAX_CHARACTERS", "Filter", "columns_of", "compile_filter", "conjuncts", "parse"]
