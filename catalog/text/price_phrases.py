"""Prices in what people type: `sleeping bag under 100` asks for sleeping bags, at 100 or less.

A number is a price where words of comparison stand before it (`under`, `up to`, `more than`), or a currency beside a
range (`100-200 €`), and nothing says that it counts something else: `under 3 kg` is a weight. What units there are is
learned from the catalog, where most of their places are behind a number.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["PricePhrase", "find_price", "units_of"]

CURRENCY = r"(?:[€$£¥₹]|\b(?:eur|euros?|usd|dollars?|gbp|pounds?|chf|francs?|kronor|kroner)\b)"
NUMBER = r"\d{1,3}(?:[ ,.]\d{3}(?!\d))+(?:[.,]\d{1,2}(?!\d))?|\d{1,9}(?:[.,]\d{1,2}(?!\d))?"
LOWER = (  # words before a highest price
    r"under|below|less than|cheaper than|lower than|up to|at most|no more than|not more than|max|maximum|<=?"
    r"|unter|bis zu|bis|höchstens|weniger als|maximal|moins de|jusqu['’]à|menos de|hasta|meno di|fino a|onder|tot"
)
HIGHER = (  # words before a lowest price
    r"over|above|more than|at least|no less than|not less than|min|minimum|>=?"
    r"|über|ab|mindestens|mehr als|plus de|más de|desde|più di|almeno|boven|vanaf"
)
BEFORE = r"(?<![\w-])"
BETWEEN = r"between|zwischen|entre|tra|tussen"
AND = r"and|und|et|y|e|en"
TO = r"-|–|—|\.\.\.?|to|bis|à|a|tot"


def _amount_pattern(place: int) -> str:
    return rf"(?P<before{place}>{CURRENCY}\s*)?(?P<number{place}>{NUMBER})(?P<after{place}>\s*{CURRENCY})?"


BOUND = re.compile(rf"{BEFORE}(?:(?P<lower>{LOWER})|(?P<higher>{HIGHER}))\s*{_amount_pattern(1)}", re.IGNORECASE)
RANGE = re.compile(
    rf"{BEFORE}(?:(?P<between>{BETWEEN})\s+{_amount_pattern(1)}\s*(?:{AND}|{TO})\s*{_amount_pattern(2)}"
    rf"|(?:(?:from|von|de|van)\s+)?{_amount_pattern(3)}\s*(?:{TO})\s*{_amount_pattern(4)})",
    re.IGNORECASE,
)
COUNTED = re.compile(r"\d[\s-]*([^\W\d_]+)")
WORD = re.compile(r"[^\W\d_]+")
NEXT_WORD = re.compile(r"(?P<joined>[\w%°\"”])|\s*-?\s*(?P<word>[^\W\d_]+)")
UNIT_SHARE = 0.5
"""Share of a unit's places that are behind a number, at least."""
SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class PricePhrase:
    """What a query says about prices.

    rest: the query without it, perhaps nothing.
    low, high: the lowest and the highest price that is wanted, both included; None where it names none.
    """

    rest: str
    low: float | None
    high: float | None


def units_of(texts: Iterable[str]) -> frozenset[str]:
    """The words, in lower case, that stand behind a number in most of their places in the texts of a catalog."""
    places: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    for text in texts:
        lowered = text.lower()
        places.update(WORD.findall(lowered))
        counted.update(COUNTED.findall(lowered))
    return frozenset(word for word, count in counted.items() if count >= UNIT_SHARE * places[word])


def find_price(query: str, units: frozenset[str]) -> PricePhrase | None:
    """The first thing that a query says about prices; None where it says nothing.

    units: what numbers of this catalog count, from `units_of`.
    """
    for found in RANGE.finditer(query):
        one, other = ("1", "2") if found["between"] else ("3", "4")
        money = any(_is_money(found, place, units) for place in (one, other))
        if money or (found["between"] and not _counts_something(query, found.end(f"number{other}"), units)):
            ends = _amount(found[f"number{one}"]), _amount(found[f"number{other}"])
            return PricePhrase(_without(query, found), low=min(ends), high=max(ends))
    for found in BOUND.finditer(query):
        if _is_money(found, "1", units) or not _counts_something(query, found.end("number1"), units):
            amount = _amount(found["number1"])
            low, high = (None, amount) if found["lower"] else (amount, None)
            return PricePhrase(_without(query, found), low=low, high=high)
    return None


def _is_money(found: re.Match[str], place: str, units: frozenset[str]) -> bool:
    """Whether a currency stands beside the number. The word of one that the catalog weighs in, as pounds, is none."""
    currency = found[f"before{place}"] or found[f"after{place}"]
    return currency is not None and currency.strip().lower() not in units


def _counts_something(query: str, end: int, units: frozenset[str]) -> bool:
    """Whether the number that ends there counts what follows it: letters that touch it, or a unit of the catalog."""
    following = NEXT_WORD.match(query, end)
    return following is not None and (following["joined"] is not None or following["word"].lower() in units)


def _amount(number: str) -> float:
    """The value of a number in any of the usual forms; three digits behind its last mark are thousands."""
    parts = re.split(r"[ ,.]", number)
    cents = parts.pop() if len(parts) > 1 and len(parts[-1]) < 3 else ""
    return float("".join(parts) + ("." + cents if cents else ""))


def _without(query: str, found: re.Match[str]) -> str:
    return SPACES.sub(" ", f"{query[: found.start()]} {query[found.end() :]}").strip(" ,;")
