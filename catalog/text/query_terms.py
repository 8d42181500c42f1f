"""Words that several people typed, which spelling correction knows beside the catalog's own.

People say `pullover` where every title says `fleece`, and nothing should turn that into `plover`. A bundle keeps the
words of its training searches in `typed_words.json`, with two exceptions:

* A word that fewer than MIN_PEOPLE people typed is left out: it may name somebody.
* A word within the forgiven edits of one that MISSPELLING_SHARE times as many people typed is left out: it is a common
  misspelling. On the bundled store that drops `hikign`, and keeps `sack` beside `pack`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from catalog.errors import BundleError
from catalog.text.compounds import words_of
from catalog.text.delete_index import DeleteIndex
from catalog.text.spelling import MIN_CANDIDATE_LENGTH, forgiven_edits
from catalog.text.vocabulary import LETTERS

__all__ = ["MIN_PEOPLE", "TypedWords"]

MIN_PEOPLE = 5
MISSPELLING_SHARE = 10


class TypedWords(BaseModel):
    """The contents of typed_words.json.

    people: how many people typed each word; in its normal form, letters only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    people: dict[str, PositiveInt] = {}

    @classmethod
    def of(cls, queries_of_people: Iterable[Iterable[str]]) -> TypedWords:
        """What may be published of all queries of each person."""
        people = Counter(word for queries in queries_of_people for word in {w for q in queries for w in words_of(q)})
        shared = {
            word: count
            for word, count in people.items()
            if count >= MIN_PEOPLE and len(word) >= MIN_CANDIDATE_LENGTH and LETTERS.fullmatch(word)
        }
        frequent = {word: count for word, count in shared.items() if count >= MIN_PEOPLE * MISSPELLING_SHARE}
        index = DeleteIndex([*frequent])
        kept = {word: shared[word] for word in sorted(shared) if not _is_misspelling(word, shared, index)}
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


def _is_misspelling(word: str, people: Mapping[str, int], frequent: DeleteIndex) -> bool:
    near = frequent.near(word, forgiven_edits(word))
    return any(people[other] >= people[word] * MISSPELLING_SHARE for other, _ in near)
