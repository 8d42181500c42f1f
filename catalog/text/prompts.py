"""Prompts as token ids: the one place where training and serving agree on what the model reads.

A prompt is the instruction, the history oldest first, then the task and query last:

    instruction · [query] marker codes · [query] marker codes · … · [query] marker

A marker says which task the codes behind it answer (`<|search|>`, `<|recommend|>`), so one sequence holds a training
target at every item, each in exactly the form that a server asks for, and a user's search and recommendation share
their beginning. Typed text never becomes a special token: it is tokenised without any added token.
"""

from __future__ import annotations

import copy
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tokenizers import Tokenizer

from catalog.errors import PromptError
from catalog.ids.codes import token_name

PROMPT_VERSION = 1
SEARCH_MARKER = "<|search|>"
RECOMMEND_MARKER = "<|recommend|>"
MARKERS = (SEARCH_MARKER, RECOMMEND_MARKER)
MAX_TEXT_CHARACTERS = 2_000  # characters of a query that are looked at; far more than `max_query_tokens` can hold

Task = Literal["search", "recommendation"]
TASKS: tuple[Task, Task] = ("search", "recommendation")


@dataclass(frozen=True, slots=True)
class Interaction:
    """An item in a history, with the query that led to it (None: found without one)."""

    leaf: int
    query: str | None = None

    @property
    def task(self) -> Task:
        return "recommendation" if self.query is None else "search"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSettings:
    """Kept in the bundle as prompt.json: changing one changes what the model was trained on."""

    instruction: str = ""
    max_history: int = 20
    history_block: int = 5  # a long history loses its oldest items by so many at a time
    max_query_tokens: int = 24
    terminator: str | None = None  # a special token that ends every prompt, as T5's encoder expects
    version: int = PROMPT_VERSION

    def __post_init__(self) -> None:
        if not 1 <= self.history_block <= self.max_history:
            raise PromptError(
                f"history_block is {self.history_block}: it must be between 1 and max_history ({self.max_history})"
            )
        if self.max_query_tokens < 1:
            raise PromptError(f"max_query_tokens is {self.max_query_tokens}: it must be at least 1")

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def open(cls, path: Path) -> PromptSettings:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.get("version") != PROMPT_VERSION:
            raise PromptError(
                f"{path} has prompt version {values.get('version')}, this code renders version {PROMPT_VERSION}"
            )
        return cls(**values)


class PlainText:
    """Tokenises what people typed, so that no added or special token can come out of it.

    The tokenizer is rebuilt without its added tokens; ids that a vocabulary still spells out as special (T5's
    sentencepiece contains `</s>`) are dropped.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        description = json.loads(tokenizer.to_str())
        self._forbidden = frozenset(int(token["id"]) for token in description["added_tokens"])
        plain: dict[str, Any] = {"added_tokens": [], "post_processor": None, "truncation": None, "padding": None}
        self._tokenizer = Tokenizer.from_str(json.dumps(description | plain))

    def encode(self, text: str, limit: int) -> list[int]:
        """At most `limit` ids of the text after clean-up (see `clean_text`)."""
        ids = self._tokenizer.encode(clean_text(text), add_special_tokens=False).ids
        return [i for i in ids if i not in self._forbidden][:limit]


def clean_text(text: str) -> str:
    """NFKC, lower case, one space between words, without control, format and surrogate characters."""
    text = unicodedata.normalize("NFKC", text[:MAX_TEXT_CHARACTERS])
    kept = (
        "" if unicodedata.category(c) in {"Cf", "Cs", "Co", "Cn"} else " " if unicodedata.category(c) == "Cc" else c
        for c in text
    )
    return " ".join("".join(kept).lower().split())


def level_token_ids(tokenizer: Tokenizer, sizes: Sequence[int]) -> tuple[np.ndarray, ...]:
    """Vocabulary ids of every level's codes, int64 [size] each. Raises PromptError naming the first missing token."""
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
    """Renders prompts for one tokenizer and one set of identifiers.

    codes_NL: codes of every leaf, integers [items, levels].
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        codes_NL: np.ndarray,
        level_tokens: Sequence[np.ndarray],
        settings: PromptSettings,
    ) -> None:
        self.settings = settings
        self._plain = PlainText(tokenizer)
        self._level_tokens = level_tokens
        self._tokens_NL = self._tokens_of(codes_NL)
        self._markers = {
            "search": _token_id(tokenizer, SEARCH_MARKER),
            "recommendation": _token_id(tokenizer, RECOMMEND_MARKER),
        }
        self._instruction = self._plain.encode(settings.instruction, limit=512) if settings.instruction else []
        self._end = [_token_id(tokenizer, settings.terminator)] if settings.terminator else []

    def with_codes(self, codes_NL: np.ndarray) -> PromptFormat:
        """The same for other items of the same identifiers."""
        other = copy.copy(self)
        other._tokens_NL = self._tokens_of(codes_NL)
        return other

    def _tokens_of(self, codes_NL: np.ndarray) -> np.ndarray:
        return np.stack([tokens[codes_NL[:, level]] for level, tokens in enumerate(self._level_tokens)], 1)

    @property
    def max_history(self) -> int:
        return self.settings.max_history

    @property
    def max_query_tokens(self) -> int:
        return self.settings.max_query_tokens

    @property
    def depth(self) -> int:
        return int(self._tokens_NL.shape[1])

    @property
    def max_tokens(self) -> int:
        """The longest prompt that `render` returns."""
        item = self.max_query_tokens + 1 + self.depth
        return len(self._instruction) + self.max_history * item + self.max_query_tokens + 1 + len(self._end)

    def window_start(self, length: int) -> int:
        """Position of the first item that a prompt about a history of `length` items still shows."""
        over = max(0, length - self.max_history)
        block = self.settings.history_block
        return -(-over // block) * block

    def window(self, history: Sequence[Interaction], *, first: int = 0) -> Sequence[Interaction]:
        """What `render` shows of a history."""
        return history[max(0, self.window_start(first + len(history)) - first) :]

    def render(self, history: Sequence[Interaction], query: str | None = None, *, first: int = 0) -> list[int]:
        """Token ids of a request.

        history: oldest first; `first` is the absolute position of its first item in all that the user ever did, so that
        the window moves in whole blocks and most requests find their beginning in the prefix cache.
        Of consecutive interactions with one item only the first is shown, so a later one never changes what is cached.
        query: what was typed for a search, None for a recommendation. Raises PromptError where it is blank.
        """
        if query is not None and not query.strip():
            raise PromptError("the query is empty: type something to search for, or ask for a recommendation")
        ids = list(self._instruction)
        before = None
        for interaction in self.window(history, first=first):
            if interaction.leaf != before:  # of a run of one item (searched, viewed, bought) the first speaks for all
                ids += self.question(interaction.query)
                ids += self.answer(interaction.leaf)
            before = interaction.leaf
        return ids + self.question(query) + self._end

    @property
    def instruction(self) -> list[int]:
        return list(self._instruction)

    def question(self, query: str | None) -> list[int]:
        """Ids between one item and the next: the query's text, if there is one, and the task's marker."""
        if query is None:
            return [self._markers["recommendation"]]
        return [*self._plain.encode(query, self.max_query_tokens), self._markers["search"]]

    def answer(self, leaf: int) -> list[int]:
        """The item's identifier, one level token a level."""
        ids: list[int] = self._tokens_NL[leaf].tolist()
        return ids
