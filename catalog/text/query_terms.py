"""Words that several people typed: the spelling knows them beside the catalog's own.

People say `pullover` where every title says `fleece`, and nothing should turn that into `plover`. A bundle has the
words of its training searches, in `typed_words.json`. A word that fewer than LEAST_PEOPLE people typed is never
published: it may name somebody. Nor is one that is within the forgiven edits of a word which MISSPELLING_SHARE times as
many people typed: it is the misspelling that many make. On the bundled store that leaves out `hikign`, and keeps `sack`
beside `pack`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError
from rapidfuzz import process
from rapidfuzz.distance import OSA

from catalog.errors import BundleError
from catalog.text.spelling import LETTERS, SHORTEST_CANDIDATE, forgiven_edits, words_of

__all__ = ["TypedWords"]

LEAST_PEOPLE = 5
MISSPELLING_SHARE = 10


class TypedWords(BaseModel):
    """typed_words.json. people: how many typed a word; lower case, letters only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    people: dict[str, PositiveInt] = {}

    @classmethod
    def of(cls, queries_of_people: Iterable[Iterable[str]]) -> TypedWords:
        """What may be published of all queries of each person."""
        people = Counter(word for queries in queries_of_people for word in {w for q in queries for w in words_of(q)})
        shared = {
            word: count
            for word, count in people.items()
            if count >= LEAST_PEOPLE and len(word) >= SHORTEST_CANDIDATE and LETTERS.fullmatch(word)
        }
        frequent = {word: count for word, count in shared.items() if count >= LEAST_PEOPLE * MISSPELLING_SHARE}
        kept = {word: shared[word] for word in sorted(shared) if not _is_misspelling(word, shared[word], frequent)}
        return cls(people=kept)

    @classmethod
    def open(cls, path: Path) -> TypedWords:
        """Raises BundleError for a file that is none."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise BundleError(f"{path} holds no words that people typed, publish the bundle again: {error}") from error

    def save(self, path: Path) -> None:
        path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _is_misspelling(word: str, count: int, frequent: Mapping[str, int]) -> bool:
    others = [other for other, people in frequent.items() if people >= count * MISSPELLING_SHARE]
    return process.extractOne(word, others, scorer=OSA.distance, score_cutoff=forgiven_edits(word)) is not None
