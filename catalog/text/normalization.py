"""The one normal form of words, and Unicode normalisation in bounded time.

The catalog's words, those of queries, the index of words and prompts are normalised alike: NFKC, case folded, without
characters that cannot be seen. So full-width letters, ligatures, decomposed accents, capitals and final sigmas are the
letters that they stand for, and soft hyphens and zero-width joiners divide no word.

`unicodedata.normalize` sorts the marks behind a letter in the square of their number: 100,000 of them take 9 s, during
which no other thread runs. So a few words are normalised at a time, and one of more than PART characters in parts.
"""

import re
import unicodedata
from collections.abc import Iterator

__all__ = [
    "APOSTROPHES",
    "INVISIBLE",
    "PART",
    "accentless",
    "case_folded",
    "composed",
    "nfkc",
    "nfkc_parts",
    "normalized",
    "transcribed",
]

PART = 200  # characters; longer than any word
INVISIBLE = "\u00ad\u034f\u061c\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff"
"""Characters without a shape, as part of a class of a regular expression."""
_INVISIBLE = re.compile(f"[{INVISIBLE}]+")
APOSTROPHES = "\u00b4\u02bb\u02bc\u0384\u1fbd\u1fbf\u1ffd\u1ffe"
"""Characters that people type as apostrophes. NFKC makes a space and a mark of some, and others are letters."""
_APOSTROPHE = re.compile(f"[{APOSTROPHES}]")
_TRADE_MARK = re.compile("[\u2120\u2122]")  # they would become letters of the word before them
_MARKS = re.compile("[\u0300-\u036f]+")
_BARE = str.maketrans(
    {"ı": "i", "œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ŧ": "t"}
)
_TRANSCRIBED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
_SHORT_I = "\u0438\u0306"  # й, which is no и with an accent
_WORD = rf"\S{{1,{PART}}}"
_WORDS_OR_SPACE = re.compile(rf"{_WORD}(?:[ \n]{_WORD}){{0,31}}|\s+")  # NFKC keeps a space and an end of line


def nfkc(text: str) -> str:
    """The text in NFKC, but for its white space, which is kept, and where a word is cut into parts."""
    return text if text.isascii() else "".join(nfkc_parts(text))


def nfkc_parts(text: str) -> Iterator[str]:
    """What `nfkc` returns, some words at a time, for those who need only its beginning."""
    for part in _WORDS_OR_SPACE.finditer(text):
        yield unicodedata.normalize("NFKC", part[0]) if not part[0].isspace() else part[0]


def normalized(text: str) -> str:
    """The text with every word in its normal form."""
    if text.isascii():
        return text.casefold()
    return case_folded(_INVISIBLE.sub("", composed(text)))


def composed(text: str) -> str:
    """The text in NFKC, in which trade marks and apostrophes divide words as they do where they were typed."""
    return text if text.isascii() else nfkc(_APOSTROPHE.sub("'", _TRADE_MARK.sub(" ", text)))


def case_folded(text: str) -> str:
    """A text in NFKC without case. The Turkish İ is an i, and ς at the end of a word is σ."""
    if text.isascii():
        return text.casefold()
    return nfkc(text.casefold().replace("i\u0307", "i"))


def accentless(word: str) -> str:
    """A normalised word without accents, as many people type it: ı is i, œ is oe."""
    if word.isascii():
        return word
    decomposed = unicodedata.normalize("NFD", word[:PART]).replace(_SHORT_I, "й")
    return _MARKS.sub("", decomposed).translate(_BARE) + word[PART:]


def transcribed(word: str) -> str:
    """A normalised word as German and Nordic people write it where a keyboard has no ä, ö, ü, å or ø."""
    return word if word.isascii() else accentless(word.translate(_TRANSCRIBED))
