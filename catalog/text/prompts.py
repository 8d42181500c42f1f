"""Prompts as token ids, which training and serving render by the same code.

A prompt is the instruction, the history with the oldest item first, and the query:

    instruction · [query] marker codes · [query] marker codes · … · [query] marker

A marker (`<|search|>` or `<|recommend|>`) names the task that the codes behind it answer. So one sequence holds a
training target at every item, each in exactly the form of a request, and a user's search and recommendation have the
same beginning. Where `history_queries` bounds the queries that are shown, older searches are a marker without words.
Text that people typed cannot become a special token, because it is tokenised without added tokens.
"""

from __future__ import annotations

import copy
import json
import unicodedata
from collections.abc import Container, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tokenizers import Tokenizer

from catalog.errors import PromptError
from catalog.ids.codes import token_name
from catalog.text.normalization import case_folded, nfkc_parts

PROMPT_VERSION = 2
LOWER_CASE_VERSION = 1
"""Prompts whose texts were put in lower case, where now case is folded. Models that learned them are served so."""
SEARCH_MARKER = "<|search|>"
RECOMMEND_MARKER = "<|recommend|>"
MARKERS = (SEARCH_MARKER, RECOMMEND_MARKER)
MAX_TEXT_CHARACTERS = 2_000
"""Characters of a query that are read, and of those that are left when it is cleaned."""
MAX_TOKEN_CHARACTERS = 32
"""Characters that are tokenised for every token that is wanted; few tokens have so many."""

Task = Literal["search", "recommendation"]
TASKS: tuple[Task, Task] = ("search", "recommendation")


@dataclass(frozen=True, slots=True)
class Interaction:
    """An item in a history, with the words of the search that led to it; None if there was no search."""

    leaf: int
    query: str | None = None

    @property
    def task(self) -> Task:
        """The task of which this item is a result."""
        return "recommendation" if self.query is None else "search"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSettings:
    """The settings of prompts, stored in a bundle as prompt.json. A model must be served with those of its training.

    history_block: a long history loses its oldest items by so many at a time.
    history_queries: of so many of the latest items of a history the query is shown, and of older ones only that there
        was a search; None to show all queries. A long history loses its oldest queries in blocks too.
    terminator: a special token that ends every prompt, as T5's encoder expects.
    """

    instruction: str = ""
    max_history: int = 20
    history_block: int = 5
    max_query_tokens: int = 24
    history_queries: int | None = None
    terminator: str | None = None
    version: int = PROMPT_VERSION

    def __post_init__(self) -> None:
        if not 1 <= self.history_block <= self.max_history:
            raise PromptError(
                f"history_block is {self.history_block}: it must be between 1 and max_history ({self.max_history})"
            )
        if self.max_query_tokens < 1:
            raise PromptError(f"max_query_tokens is {self.max_query_tokens}: it must be at least 1")
        if self.history_queries is not None and self.history_queries < 0:
            raise PromptError(f"history_queries is {self.history_queries}: it must be at least 0, or null for all")

    @property
    def shown_queries(self) -> int:
        """Items of a history whose queries a prompt shows at most."""
        return self.max_history if self.history_queries is None else min(self.history_queries, self.max_history)

    def save(self, path: Path) -> None:
        """Write prompt.json."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def open(cls, path: Path) -> PromptSettings:
        """Read prompt.json, also of bundles of before. Raises PromptError for another version of prompts."""
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.get("version") not in {LOWER_CASE_VERSION, PROMPT_VERSION}:
            raise PromptError(
                f"{path} has prompt version {values.get('version')}, this code renders version {PROMPT_VERSION}"
            )
        return cls(**values)


class PlainText:
    """Tokenises text that people typed without ever returning an added or special token.

    It rebuilds the tokenizer without its added tokens, and drops special ids that the vocabulary itself contains, such
    as T5's `</s>`.
    """

    def __init__(self, tokenizer: Tokenizer, version: int = PROMPT_VERSION) -> None:
        """version: of the prompts that the text is for."""
        self._version = version
        description = json.loads(tokenizer.to_str())
        self._forbidden = frozenset(int(token["id"]) for token in description["added_tokens"])
        plain: dict[str, Any] = {"added_tokens": [], "post_processor": None, "truncation": None, "padding": None}
        self._tokenizer = Tokenizer.from_str(json.dumps(description | plain))

    def encode(self, text: str, limit: int) -> list[int]:
        """At most `limit` token ids of the cleaned text; see `clean_text`."""
        beginning = clean_text(text, limit * MAX_TOKEN_CHARACTERS, version=self._version)
        ids = self._tokenizer.encode(beginning, add_special_tokens=False).ids
        return [i for i in ids if i not in self._forbidden][:limit]


def clean_text(text: str, enough: int = MAX_TEXT_CHARACTERS, *, version: int = PROMPT_VERSION) -> str:
    """The text in NFKC without case, with one space between words and no control or format characters.

    enough: characters of the result that are wanted at most; those behind them are not looked at.
    version: of the prompts that the text is for.
    """
    text = text[:MAX_TEXT_CHARACTERS]
    if not text.isascii():
        text = _beginning(map(_printable, nfkc_parts(text)), enough)
    text = _printable(text)
    text = text.lower() if version == LOWER_CASE_VERSION else case_folded(text)
    return " ".join(text.split())[:enough]


def cleaned_as_known(text: str, known: Container[str]) -> str:
    """The cleaned text; in the form of bundles of before, if it is known in that one alone."""
    cleaned = clean_text(text)
    if cleaned not in known and not text.isascii():
        before = clean_text(text, version=LOWER_CASE_VERSION)
        return before if before in known else cleaned
    return cleaned


def _beginning(parts: Iterable[str], enough: int) -> str:
    """So many of the parts that they have enough characters, white space not counted."""
    kept, length = [], 0
    for part in parts:
        kept.append(part)
        length += 0 if part.isspace() else len(part)
        if length >= enough:
            break
    return "".join(kept)


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return text.translate({ord(c): _replacement(c) for c in set(text) if not c.isprintable()})


def _replacement(character: str) -> str:
    """What stands for a character that cannot be printed: nothing, a space, or a separator itself."""
    category = unicodedata.category(character)
    return "" if category in {"Cf", "Cs", "Co", "Cn"} else " " if category == "Cc" else character


def level_token_ids(tokenizer: Tokenizer, sizes: Sequence[int]) -> tuple[np.ndarray, ...]:
    """For every level, the vocabulary ids of its codes, int64 [size]. Raises PromptError for a missing token."""
    return tuple(
        np.array([_token_id(tokenizer, token_name(level, code)) for code in range(size)], dtype=np.int64)
        for level, size in enumerate(sizes)
    )


def _token_id(tokenizer: Tokenizer, token: str) -> int:
    found = tokenizer.token_to_id(token)
    if found is None:
        raise PromptError(f"the tokenizer has no token {token}: it does not belong to this catalog's identifiers")
    return int(found)


class PromptFormat:
    """Renders prompts for one tokenizer and one catalog.

    codes_NL: the codes of every leaf, integers [items, levels].
    level_tokens: for every level, the vocabulary ids of its codes.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        codes_NL: np.ndarray,
        level_tokens: Sequence[np.ndarray],
        settings: PromptSettings,
    ) -> None:
        self.settings = settings
        self._plain = PlainText(tokenizer, settings.version)
        self._level_tokens = level_tokens
        self._tokens_NL = self._tokens_of(codes_NL)
        self._markers = {
            "search": _token_id(tokenizer, SEARCH_MARKER),
            "recommendation": _token_id(tokenizer, RECOMMEND_MARKER),
        }
        self._instruction = self._plain.encode(settings.instruction, limit=512) if settings.instruction else []
        self._end = [_token_id(tokenizer, settings.terminator)] if settings.terminator else []

    def with_codes(self, codes_NL: np.ndarray) -> PromptFormat:
        """The same format for another snapshot of the catalog, with these codes."""
        other = copy.copy(self)
        other._tokens_NL = self._tokens_of(codes_NL)
        return other

    def _tokens_of(self, codes_NL: np.ndarray) -> np.ndarray:
        return np.stack([tokens[codes_NL[:, level]] for level, tokens in enumerate(self._level_tokens)], 1)

    @property
    def max_history(self) -> int:
        """Items of a history that a prompt shows at most."""
        return self.settings.max_history

    @property
    def max_query_tokens(self) -> int:
        """Tokens of a query's text at most."""
        return self.settings.max_query_tokens

    @property
    def code_sizes(self) -> tuple[int, ...]:
        """How many codes each level of an identifier has."""
        return tuple(len(tokens) for tokens in self._level_tokens)

    @property
    def depth(self) -> int:
        """Number of levels of an identifier."""
        return int(self._tokens_NL.shape[1])

    @property
    def max_tokens(self) -> int:
        """The length of the longest prompt that `render` returns."""
        text = (self.settings.shown_queries + 1) * self.max_query_tokens
        return len(self._instruction) + self.max_history * (1 + self.depth) + text + 1 + len(self._end)

    def window_start(self, length: int) -> int:
        """The position of the first item of a history of `length` items that a prompt shows."""
        return _first_kept(length, self.max_history, self.settings.history_block)

    def queries_start(self, length: int) -> int:
        """The position of the first item of a history of `length` items whose query a prompt shows."""
        kept = self.settings.history_queries
        return 0 if kept is None else _first_kept(length, kept, max(1, min(kept, self.settings.history_block)))

    def window(self, history: Sequence[Interaction], *, first: int = 0) -> Sequence[Interaction]:
        """The part of a history that `render` shows."""
        return history[max(0, self.window_start(first + len(history)) - first) :]

    def render(self, history: Sequence[Interaction], query: str | None = None, *, first: int = 0) -> list[int]:
        """The token ids of a prompt.

        history: oldest first. Of consecutive interactions with one item only the first is shown, so that a later one
            does not change what is cached.
        query: the words of a search; None for a recommendation.
        first: the position of the history's first item among all that the user ever did. So the window moves in whole
            blocks, and most requests find their beginning in the prefix cache.
        Raises PromptError if the query is blank.
        """
        if query is not None and not query.strip():
            raise PromptError("the query is empty: type something to search for, or ask for a recommendation")
        ids = list(self._instruction)
        before = None
        shown = self.window(history, first=first)
        with_query = self.queries_start(first + len(history)) - (first + len(history) - len(shown))
        for place, interaction in enumerate(shown):
            if interaction.leaf != before:  # the first of a run, such as search, view and purchase
                marker_only = place < with_query
                ids += self.marker(interaction.task) if marker_only else self.query_tokens(interaction.query)
                ids += self.item_tokens(interaction.leaf)
            before = interaction.leaf
        return ids + self.query_tokens(query) + self._end

    @property
    def instruction(self) -> list[int]:
        """The token ids at the beginning of every prompt."""
        return list(self._instruction)

    def query_tokens(self, query: str | None) -> list[int]:
        """The token ids between two items: those of the query's text, if there is one, and the task's marker."""
        if query is None:
            return self.marker("recommendation")
        return [*self._plain.encode(query, self.max_query_tokens), *self.marker("search")]

    def marker(self, task: Task) -> list[int]:
        """The token id, in a list, of the marker of a task."""
        return [self._markers[task]]

    def item_tokens(self, leaf: int) -> list[int]:
        """The token ids of an item: one for every level."""
        ids: list[int] = self._tokens_NL[leaf].tolist()
        return ids


def _first_kept(length: int, kept: int, block: int) -> int:
    """The position from which at most the last `kept` of `length` entries are left, a multiple of `block`."""
    return -(-max(0, length - kept) // block) * block
