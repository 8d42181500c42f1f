"""How well a decoder-only model predicts general text, token by token.

The text is read in windows that overlap by half, and every token is predicted once. So a token has at least half a
window of text before it, unless it is near the beginning. The softmax runs over the base's own text tokens only. Item
tokens were added later and never occur in general text, so a tuned model would lose probability to them that a base
cannot lose.

T tokens of the text, W positions of a window, V text tokens of the vocabulary, B windows of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from catalog.text.prompts import MARKERS
from trainer.core.errors import TrainerError
from trainer.data.corpus import token_stream

__all__ = ["Predictions", "TextModel", "predict_text", "read_text"]

WINDOW = 256
BATCH = 16


@dataclass(frozen=True, slots=True)
class TextModel:
    """A model and the part of its vocabulary that its base came with.

    tokens: the base's text tokens and their ids.
    rows: how many of the vocabulary's rows, from the first one on, they are.
    """

    model: PreTrainedModel
    tokens: dict[str, int]
    rows: int

    @classmethod
    def load(cls, folder: Path) -> TextModel:
        """Loads the checkpoint in a folder. Raises TrainerError if the folder holds no decoder-only checkpoint."""
        try:
            model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
            tokenizer = AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError) as error:
            raise TrainerError(f"{folder} holds no decoder-only checkpoint: {error}") from error
        vocabulary: dict[str, int] = tokenizer.get_vocab()
        rows = vocabulary.get(MARKERS[0], len(tokenizer))
        text = {token: row for token, row in vocabulary.items() if row < rows}
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(model.to(device).eval(), text, rows)


@dataclass(frozen=True, slots=True)
class Predictions:
    """The predictions of every token but the first, in the text's order.

    loss_T: the negative log-likelihood of each token in nats, float32.
    right_T: whether the likeliest token was the true one, bool.
    """

    loss_T: np.ndarray
    right_T: np.ndarray


def read_text(documents: list[str], folder: Path, *, limit: int | None = None) -> np.ndarray:
    """The first `limit` tokens of the documents, by the tokenizer of the checkpoint in `folder`, int64 [T].

    Raises TrainerError for a text of fewer than two tokens.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    stream_T = token_stream(documents, tokenizer)[:limit]
    if len(stream_T) < 2:
        raise TrainerError("the text has fewer than two tokens: name a longer one")
    return stream_T


@torch.inference_mode()
def predict_text(text: TextModel, ids_T: np.ndarray, *, window: int = WINDOW) -> Predictions:
    """Predicts the tokens 1 … T-1 of a text.

    ids_T: the text's token ids, int64.
    window: how many positions a window has at most. A model that can read fewer has shorter windows.
    """
    window = min(window, text.model.config.max_position_embeddings)
    losses, rights = [], []
    for start_B, first in _batches(len(ids_T), window):
        length = min(window, len(ids_T) - start_B[0])
        ids_BW = torch.from_numpy(np.stack([ids_T[start : start + length] for start in start_B]))
        ids_BW = ids_BW.to(text.model.device)
        states_BWH = text.model.base_model(input_ids=ids_BW, use_cache=False).last_hidden_state
        head_VH = text.model.get_output_embeddings().weight[: text.rows]
        logits_BWV = (states_BWH[:, first - 1 : -1] @ head_VH.T).float()
        target_BW = ids_BW[:, first:]
        losses.append(functional.cross_entropy(logits_BWV.flatten(0, 1), target_BW.flatten(), reduction="none").cpu())
        rights.append((logits_BWV.argmax(-1) == target_BW).flatten().cpu())
    return Predictions(torch.cat(losses).numpy(), torch.cat(rights).numpy())


def _batches(tokens: int, window: int) -> list[tuple[list[int], int]]:
    """Batches of windows of one length: the windows' first tokens, and the first position that they predict.

    The first window predicts all but its first token. Each later one starts half a window after the one before it and
    predicts its second half; the last may be shorter.
    """
    stride = max(1, window // 2)
    batches: list[tuple[list[int], int]] = [([0], 1)]
    full = list(range(stride, tokens - window + 1, stride))
    batches += [(full[at : at + BATCH], window - stride) for at in range(0, len(full), BATCH)]
    done = min(tokens, window) if not full else full[-1] + window
    if done < tokens:
        start = max(0, done - (window - stride))
        batches.append(([start], done - start))
    return batches
