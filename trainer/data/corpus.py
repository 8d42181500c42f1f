"""General text, for pretraining a base, for null spaces and for measuring what tuning has kept.

N rows, T tokens, B rows of a batch.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from trainer.core.errors import TrainerError

MIN_TEXT_TOKENS = 8
"""Of each piece of general text."""
MIN_PIECES = 8
"""Into which a text is cut that is too short for two pieces of the wanted length."""


def read_corpus(file: Path) -> list[str]:
    """The documents of a plain or gzipped UTF-8 text file, which blank lines separate.

    Raises TrainerError where the file is missing, cannot be read, or holds no text.
    """
    if not file.is_file():
        raise TrainerError(f"null_space.corpus: {file} does not exist; name a text file, or leave it out")
    try:
        with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as stream:
            documents = [document.strip() for document in stream.read().split("\n\n")]
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise TrainerError(f"null_space.corpus: {file} cannot be read as UTF-8 text: {error}") from error
    documents = [document for document in documents if document]
    if not documents:
        raise TrainerError(f"null_space.corpus: {file} holds no text")
    return documents


def token_stream(documents: Sequence[str], tokenizer: Tokenizer) -> np.ndarray:
    """The token ids of all documents, one after the other, with a line break after each: int64 [T]."""
    encoded = tokenizer.encode_batch([document + "\n" for document in documents], add_special_tokens=False)
    return np.concatenate([np.array(e.ids, dtype=np.int64) for e in encoded])


def token_rows(stream: np.ndarray, length: int, rows: int, *, seed: int) -> torch.Tensor:
    """At most `rows` pieces of the stream, int64 [N, length], drawn at random and without repetition.

    stream: token ids, int64 [T].
    length: how many tokens a piece has; fewer where the stream, as of a small catalog, is shorter than two such pieces.

    Raises TrainerError for a stream that is shorter than two pieces of `MIN_TEXT_TOKENS`.
    """
    if len(stream) < 2 * length:
        length = max(MIN_TEXT_TOKENS, len(stream) // MIN_PIECES)
    if len(stream) < 2 * length:
        raise TrainerError(
            f"the general corpus has {len(stream)} tokens, and at least {2 * length} are needed: name a text file by "
            "null_space.corpus=FILE, or do without general text by gems.null_space=false backbone.pretrain_steps=0"
        )
    starts = np.arange(0, len(stream) - length, length)
    chosen = np.random.default_rng(seed).permutation(starts)[:rows]
    return torch.from_numpy(np.stack([stream[start : start + length] for start in chosen]))


def text_batches(rows_NT: torch.Tensor, size: int = 16) -> Iterator[dict[str, torch.Tensor]]:
    """The keyword arguments of forward passes over `size` rows each; the last may have fewer."""
    for batch_BT in torch.split(rows_NT, size):
        yield {"input_ids": batch_BT}
