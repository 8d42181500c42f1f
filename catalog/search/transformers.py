"""Constrained beam search with a transformers model: the reference of tests, the trainer's evaluation, and T5.

The prompt is computed once. A decoder-only model then reads the beams of a level as further tokens of one sequence,
each of which attends to the prompt and to its own ancestors only. So the prompt's keys and values are not copied for
every beam. A T5 decoder encodes positions by their distance, so its beams are the rows of a batch.

Shapes: R prompts, P tokens of the longest, B beams of all rows, K beams of the widest row, H hidden size.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from catalog.ids.index import ItemIndex
from catalog.search.beam import BeamLayout, Beams, BeamSearch, Ranked
from catalog.search.device_index import DeviceIndex, check_level_tokens
from catalog.search.guidance import NO_PRIOR, Guidance, Prior, StaticPrior
from catalog.search.level_heads import LevelHeads, Normalization, vocabulary_logsumexp
from catalog.search.restriction import FilterBitmap, Restriction

__all__ = ["TransformersRanker"]

MAX_CACHED_TOKENS = 8192
"""Tokens whose keys and values are held at a time; about 2 GB for a model of 0.6 B parameters in float32."""

Leaves = NDArray[np.integer]


class TransformersRanker:
    """Ranks the items of `index` with a decoder-only or T5 model.

    model: a transformers model with a language-modelling head; of a PeftModel, its `get_base_model()`.
    level_tokens: for every level, the vocabulary id of each code.
    device: the model's device; by default `model.device`.
    normalize: what the probabilities of a level sum to one over: its codes, the children of the prefix, or the whole
        vocabulary. A bundle says what it was trained for (`Manifest.normalize`).

    Weights are read at every call, so it may be used while the model is trained. Raises ItemIndexError if index, tokens
    and model do not belong together, and ValueError for an unsupported model.
    """

    def __init__(
        self,
        model: Any,
        index: ItemIndex,
        level_tokens: Sequence[NDArray[np.integer]],
        *,
        device: torch.device | str | None = None,
        normalize: Normalization = "codes",
    ) -> None:
        check_level_tokens(index, level_tokens, model.get_output_embeddings().weight.shape[0])
        self._model = model
        self._device = torch.device(model.device if device is None else device)
        self._index = index
        self._device_index = DeviceIndex(index, self._device)
        self._tokens = [torch.as_tensor(tokens, device=self._device) for tokens in level_tokens]
        self._normalize = normalize
        if "sliding_attention" in (getattr(model.config, "layer_types", None) or ()):
            raise ValueError("models with sliding-window attention are not supported: use one with full attention")

    @property
    def index(self) -> ItemIndex:
        """The index that is searched."""
        return self._index

    def rank(
        self,
        prompts: Sequence[Sequence[int]],
        width: int,
        *,
        deny: Sequence[Leaves] | None = None,
        allow: Sequence[Leaves | None] | None = None,
        filters: Sequence[FilterBitmap | None] | None = None,
        priors: Sequence[Prior | None] | None = None,
        static: StaticPrior | None = None,
    ) -> list[Ranked]:
        """The min(width, wanted) best leaves after every prompt, best first, with their scores.

        deny, allow, filters: per prompt, as `Restriction` takes them.
        priors: per prompt, what guides the search; None leaves the score to the model, as a list of None does.
        static: the static prior of the index, which the priors weigh.

        Raises ItemIndexError for leaves out of order or out of range.
        """
        found = self.rank_by_level(
            prompts, width, deny=deny, allow=allow, filters=filters, priors=priors, static=static
        )
        return [ranked for ranked, _ in found]

    def rank_by_level(
        self,
        prompts: Sequence[Sequence[int]],
        width: int,
        *,
        deny: Sequence[Leaves] | None = None,
        allow: Sequence[Leaves | None] | None = None,
        filters: Sequence[FilterBitmap | None] | None = None,
        priors: Sequence[Prior | None] | None = None,
        static: StaticPrior | None = None,
    ) -> list[tuple[Ranked, NDArray[np.float32]]]:
        """The results of `rank`, each with the log-probability of every code of its leaves, float32 [k, L]."""
        deny = [np.empty(0, np.int64)] * len(prompts) if deny is None else deny
        allow = [None] * len(prompts) if allow is None else allow
        filters = [None] * len(prompts) if filters is None else filters
        priors = [None] * len(prompts) if priors is None else priors
        found: dict[int, tuple[Ranked, NDArray[np.float32]]] = {}
        with _evaluating(self._model), torch.inference_mode():
            for rows in self._groups(prompts, width):
                restriction = Restriction(
                    self._index,
                    [deny[row] for row in rows],
                    [filters[row] for row in rows],
                    [allow[row] for row in rows],
                )
                guidance = self._guidance([priors[row] for row in rows], static, restriction)
                search = BeamSearch(
                    self._device_index,
                    [width] * len(rows),
                    restriction,
                    guidance,
                    over_children=self._normalize == "children",
                )
                found |= zip(rows, self._search(search, [prompts[row] for row in rows]), strict=True)
        return [found[row] for row in range(len(prompts))]

    def _guidance(
        self, priors: Sequence[Prior | None], static: StaticPrior | None, restriction: Restriction
    ) -> Guidance | None:
        if all(prior is None for prior in priors):
            return None
        return Guidance(self._index, [prior or NO_PRIOR for prior in priors], static, restriction)

    def _groups(self, prompts: Sequence[Sequence[int]], width: int) -> Iterator[list[int]]:
        """Groups of prompts of similar length, as many in each as MAX_CACHED_TOKENS allows."""
        group: list[int] = []
        for row in sorted(range(len(prompts)), key=lambda row: len(prompts[row])):
            length = len(prompts[row])
            tokens = length * width if self._model.config.is_encoder_decoder else length + width * len(self._tokens)
            if group and tokens * (len(group) + 1) > MAX_CACHED_TOKENS:
                yield group
                group = []
            group.append(row)
        if group:
            yield group

    def _search(
        self, search: BeamSearch, prompts: Sequence[Sequence[int]]
    ) -> Iterator[tuple[Ranked, NDArray[np.float32]]]:
        heads = self._heads()
        kind = _T5 if self._model.config.is_encoder_decoder else _CausalDecoder
        decoder: _Decoder = kind(self._model, self._device)

        def decode(level: int, beams: Beams) -> Tensor:
            token_B = self._tokens[level - 1].index_select(0, beams.code_B)
            hidden_BH = decoder.step(token_B, beams.parent_B, search.layouts[level - 1], search.layouts[level])
            return heads(level, hidden_BH)

        ranked = search.run(heads(0, decoder.prefill(prompts)), decode)
        return zip(ranked, search.level_scores(), strict=True)

    def _heads(self) -> LevelHeads:
        head = self._model.get_output_embeddings()
        bias = getattr(head, "bias", None)

        def logsumexp(hidden_BH: Tensor) -> Tensor:
            return vocabulary_logsumexp(hidden_BH, head, head.weight.shape[0])

        return LevelHeads(
            [head.weight.index_select(0, tokens) for tokens in self._tokens],
            [None if bias is None else bias.index_select(0, tokens) for tokens in self._tokens],
            logsumexp if self._normalize == "vocabulary" else None,
        )


class _Decoder(Protocol):
    """The model's side of a search."""

    def prefill(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Read the prompts; the hidden states that predict the first codes, [R, H]."""

    def step(self, token_B: Tensor, parent_B: Tensor, before: BeamLayout, now: BeamLayout) -> Tensor:
        """Append a token to every beam; the hidden states that predict the next codes, [B, H]."""


class _CausalDecoder:
    def __init__(self, model: Any, device: torch.device) -> None:
        from transformers import DynamicCache

        self._model = model.base_model
        self._dtype = model.dtype
        self._device = device
        self._cache = DynamicCache(config=model.config)
        self._ancestors: list[Tensor] = []
        """For every level, the position [R, K] of each present beam's ancestor, or of the beam itself."""
        self._widths: list[int] = []

    def prefill(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        # padded on the right, which causal attention does not see
        self._token_RP, self._length_R = _pad(prompts, self._device)
        output = self._model(input_ids=self._token_RP, past_key_values=self._cache, use_cache=True)
        rows = torch.arange(len(prompts), device=self._device)
        hidden_RH: Tensor = output.last_hidden_state[rows, self._length_R - 1]
        return hidden_RH

    def step(self, token_B: Tensor, parent_B: Tensor, before: BeamLayout, now: BeamLayout) -> Tensor:
        parent_RK = now.unpack(before.rank_B.index_select(0, parent_B))
        own_RK = torch.arange(now.widest, device=self._device).expand(now.rows, -1)
        self._ancestors = [*(place.gather(1, parent_RK) for place in self._ancestors), own_RK]
        position_RK = (self._length_R + len(self._widths))[:, None].expand(now.rows, now.widest)
        self._widths.append(now.widest)
        output = self._model(
            input_ids=now.unpack(token_B),
            attention_mask=self._mask(now),
            position_ids=position_RK,
            past_key_values=self._cache,
            use_cache=True,
        )
        return now.pack(output.last_hidden_state)

    def _mask(self, now: BeamLayout) -> Tensor:
        """The additive attention mask [R, 1, K, keys]: a beam sees its prompt and its ancestors."""
        prompt_RP = torch.arange(self._token_RP.shape[1], device=self._device) < self._length_R[:, None]
        seen = [prompt_RP[:, None].expand(-1, now.widest, -1)]
        for place_RK, width in zip(self._ancestors, self._widths, strict=True):
            seen.append(place_RK[..., None] == torch.arange(width, device=self._device))
        hidden = torch.cat(seen, -1).logical_not()
        mask = torch.zeros(hidden.shape, dtype=self._dtype, device=self._device)
        return mask.masked_fill_(hidden, torch.finfo(self._dtype).min)[:, None]


class _T5:
    def __init__(self, model: Any, device: torch.device) -> None:
        from transformers import DynamicCache, EncoderDecoderCache

        self._model = model
        self._device = device
        self._cache = EncoderDecoderCache(DynamicCache(config=model.config), DynamicCache(config=model.config))

    def prefill(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        token_RP, length_R = _pad(prompts, self._device)
        self._mask = (torch.arange(token_RP.shape[1], device=self._device) < length_R[:, None]).long()
        self._encoded = self._model.encoder(input_ids=token_RP, attention_mask=self._mask).last_hidden_state
        return self._decode(length_R.new_full((len(prompts),), self._model.config.decoder_start_token_id))

    def step(self, token_B: Tensor, parent_B: Tensor, before: BeamLayout, now: BeamLayout) -> Tensor:
        self._cache.batch_select_indices(parent_B.long())
        self._encoded = self._encoded.index_select(0, parent_B)
        self._mask = self._mask.index_select(0, parent_B)
        return self._decode(token_B)

    def _decode(self, token_B: Tensor) -> Tensor:
        output = self._model.decoder(
            input_ids=token_B[:, None],
            encoder_hidden_states=self._encoded,
            encoder_attention_mask=self._mask,
            past_key_values=self._cache,
            use_cache=True,
        )
        hidden_BH: Tensor = output.last_hidden_state[:, -1]
        if self._model.config.scale_decoder_outputs:
            hidden_BH = hidden_BH * self._model.model_dim**-0.5
        return hidden_BH


def _pad(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids [R, P], padded on the right, and lengths [R]."""
    length_R = np.array([len(prompt) for prompt in prompts])
    token_RP = np.zeros((len(prompts), length_R.max()), np.int64)
    for row, prompt in enumerate(prompts):
        token_RP[row, : len(prompt)] = prompt
    return torch.from_numpy(token_RP).to(device), torch.from_numpy(length_R).to(device)


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
