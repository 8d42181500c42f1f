"""What is never suggested, however many people typed it: what may name somebody, and what is rude."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from catalog.text.compounds import words_of
from catalog.text.normalization import accentless, composed

__all__ = ["BLOCKED_WORDS", "Screen", "is_private"]

MAX_CHARACTERS = 100
"""Longer queries are not suggested: they are pasted, not typed."""
LONG_NUMBER = re.compile(r"\d(?:[\s().+/\-–]*\d){5,}")
"""Six digits and more, whatever stands between them: phone numbers, cards, orders, customers."""
ADDRESS = re.compile(r"@|https?:|www\.", re.IGNORECASE)

BLOCKED_WORDS = (
    *("arsehole*", "asshole*", "bastard*", "bitch*", "bollock*", "bukkake", "cock", "cocks", "cocksuck*", "cunt*"),
    *("dildo*", "faggot*", "fuck*", "gangbang*", "hitler", "kike", "kikes", "motherfuck*", "nazi", "nazis", "nigga*"),
    *("nigger*", "paedophil*", "pedophil*", "porn*", "pussy", "rape", "raped", "rapist*", "retard", "retards", "shit*"),
    *("slut*", "spastic*", "tranny", "twat*", "wank*", "whore*", "xxx"),
)
"""Blocked where a shop names no words of its own. English; a word with * blocks all that begin so."""


def is_private(text: str) -> bool:
    """Whether a query may name or reach somebody: e-mails, web addresses, long numbers, and very long texts."""
    plain = composed(text)
    return len(text) > MAX_CHARACTERS or ADDRESS.search(plain) is not None or LONG_NUMBER.search(plain) is not None


class Screen:
    """Says which queries may be suggested, by words that they must not have."""

    def __init__(self, blocked: Iterable[str] = BLOCKED_WORDS) -> None:
        """blocked: words and phrases, in any case and with accents or without; `word*` blocks what begins so."""
        patterns = [
            rf"{re.escape(phrase)}{'' if entry.rstrip().endswith('*') else r'(?=$| )'}"
            for entry in blocked
            if (phrase := _plain(entry))
        ]
        self._blocked = re.compile(rf"(?:^| )(?:{'|'.join(patterns)})") if patterns else None

    @classmethod
    def open(cls, path: Path) -> Screen:
        """The words of a file in the place of BLOCKED_WORDS: one a line, where # begins a remark.

        Raises OSError, UnicodeDecodeError.
        """
        return cls(line.partition("#")[0] for line in path.read_text(encoding="utf-8").splitlines())

    def allows(self, text: str) -> bool:
        """Whether a query may be shown to everybody."""
        return not is_private(text) and (self._blocked is None or self._blocked.search(_plain(text)) is None)


def _plain(text: str) -> str:
    return " ".join(accentless(word) for word in words_of(text))
