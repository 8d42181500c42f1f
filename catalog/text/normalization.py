"""Unicode normalisation in bounded time.

`unicodedata.normalize` sorts the marks behind a letter in the square of their number: 100,000 of them take 9 s, during
which no other thread runs. So words are normalised one by one, and one of more than PART characters in parts.
"""

import re
import unicodedata
from collections.abc import Iterator

__all__ = ["PART", "nfkc", "nfkc_parts"]

PART = 200  # characters; longer than any word
WORD_OR_SPACE = re.compile(rf"\S{{1,{PART}}}|\s+")


def nfkc(text: str) -> str:
    """The text in NFKC, but for its white space, which is kept, and where a word is cut into parts."""
    return text if text.isascii() else "".join(nfkc_parts(text))


def nfkc_parts(text: str) -> Iterator[str]:
    """What `nfkc` returns, word by word, for those who need only its beginning."""
    for part in WORD_OR_SPACE.finditer(text):
        yield unicodedata.normalize("NFKC", part[0]) if not part[0].isspace() else part[0]
