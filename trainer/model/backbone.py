"""The language model that is tuned: a pretrained checkpoint, or a small base that is built and pretrained here.

Item tokens and task markers are added to its vocabulary. All other weights keep their names and shapes.

B batch, T positions, H hidden size, V vocabulary, N added rows, C codes of a level, D dimensions of a centroid.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from catalog.bundle.disk import follow_umask
from catalog.ids.codes import Codebooks, token_name
from catalog.text.prompts import MARKERS
from trainer.config.recipe import BackboneRecipe
from trainer.core.errors import TrainerError
from trainer.data.corpus import token_rows, token_stream

PAD, EOS = "<|pad|>", "<|end|>"
HEAD_SIZE = 32  # vLLM's attention on CPUs takes head sizes that are multiples of it
VOCABULARY_MULTIPLE = 64  # rows, which suits kernels; the spare rows are never predicted


@dataclass(slots=True)
class Backbone:
    """A model with its tokenizer.

    model: a decoder's or an encoder-decoder's language model.
    tokenizer: its fast tokenizer.
    name: the name of the base, for the manifest.
    text_rows: how many rows of the vocabulary the base came with; added tokens follow them.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    name: str
    text_rows: int

    @property
    def text_tokenizer(self) -> Tokenizer:
        return cast(Tokenizer, self.tokenizer.backend_tokenizer)

    @property
    def is_seq2seq(self) -> bool:
        return bool(self.model.config.is_encoder_decoder)

    def save(self, directory: Path, weights: Mapping[str, torch.Tensor] | None = None) -> None:
        """Writes a plain checkpoint of model and tokenizer.

        weights: the gathered weights of a sharded model by name; None for the model's own.
        """
        self.model.save_pretrained(directory, safe_serialization=True, state_dict=weights)
        self.tokenizer.save_pretrained(directory)
        follow_umask(directory, like=directory / "config.json")


def model_class(path: str | Path) -> Any:
    """The transformers class with which to load a checkpoint: that of decoders or that of encoder-decoders."""
    encoder_decoder = AutoConfig.from_pretrained(path).is_encoder_decoder
    return AutoModelForSeq2SeqLM if encoder_decoder else AutoModelForCausalLM


def load_backbone(path: str, recipe: BackboneRecipe) -> Backbone:
    """Loads a pretrained model.

    path: a folder, or the name of a hub's model.

    Raises TrainerError where it cannot be loaded, lacks weights, or has no fast tokenizer.
    """
    try:
        model, report = model_class(path).from_pretrained(
            path, dtype=getattr(torch, recipe.dtype), output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise TrainerError(f"backbone.path: {path} could not be loaded: {error}") from error
    if report["missing_keys"]:
        raise TrainerError(f"backbone.path: {path} has no weights for {sorted(report['missing_keys'])[:3]} …")
    if not tokenizer.is_fast:
        raise TrainerError(
            f"backbone.path: {path} has no fast tokenizer (tokenizer.json); convert it with transformers"
        )
    if recipe.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return Backbone(model, tokenizer, path, model.get_input_embeddings().num_embeddings)


def reload_base(directory: Path, recipe: BackboneRecipe) -> Backbone:
    """Loads a base that `Backbone.save` wrote after its item tokens were added."""
    backbone = load_backbone(str(directory), recipe)
    backbone.name = f"qwen2-{recipe.layers}x{recipe.hidden}"
    backbone.text_rows = int(backbone.tokenizer.convert_tokens_to_ids(MARKERS[0]))
    return backbone


@torch.inference_mode()
def text_vectors(backbone: Backbone, texts: Sequence[str], *, batch: int = 32) -> np.ndarray:
    """A vector for every text, the mean of its last hidden states: float32 [len(texts), H].

    batch: how many texts are read at a time.
    """
    tokenizer, model = backbone.tokenizer, backbone.model.eval()
    encoder = model.get_encoder() if backbone.is_seq2seq else model.base_model
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    vectors = []
    for at in range(0, len(texts), batch):
        inputs = tokenizer(
            list(texts[at : at + batch]), padding=True, truncation=True, max_length=256, return_tensors="pt"
        )
        inputs = inputs.to(model.device)
        mask_BT1 = inputs["attention_mask"].unsqueeze(-1)
        states_BTH = encoder(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state
        vectors.append(((states_BTH * mask_BT1).sum(1) / mask_BT1.sum(1)).float().cpu().numpy())
    return np.concatenate(vectors)


def build_backbone(recipe: BackboneRecipe, texts: Sequence[str], positions: int, *, seed: int) -> Backbone:
    """A Qwen2-shaped model with random weights and a byte-level tokenizer trained on `texts`.

    recipe: the sizes of the model and its vocabulary.
    texts: what the tokenizer learns its tokens from.
    positions: how many positions the model can read.
    seed: what the weights are drawn from.

    Raises TrainerError for head sizes that vLLM cannot serve.
    """
    if recipe.hidden % (HEAD_SIZE * recipe.heads):
        raise TrainerError(
            f"backbone.hidden={recipe.hidden} must be a multiple of {HEAD_SIZE} × backbone.heads={recipe.heads}: "
            f"vLLM's attention has heads of {HEAD_SIZE}, {2 * HEAD_SIZE} … dimensions only"
        )
    tokenizer = byte_level_tokenizer(texts, recipe.vocabulary)
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden,
        intermediate_size=4 * recipe.hidden,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=positions,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.convert_tokens_to_ids(EOS),
        pad_token_id=tokenizer.convert_tokens_to_ids(PAD),
    )
    model = Qwen2ForCausalLM(config)
    return Backbone(model, tokenizer, f"qwen2-{recipe.layers}x{recipe.hidden}", len(tokenizer))


def byte_level_tokenizer(texts: Sequence[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on `texts`. It can write every string, so it has no unknown token.

    vocabulary: how many tokens it has at most.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.ByteLevel(add_prefix_space=True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[PAD, EOS], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, eos_token=EOS)


def add_item_tokens(backbone: Backbone, codebooks: Codebooks, *, seed: int) -> None:
    """Adds the task markers and a token for every code of every level to the vocabulary.

    Similar codes start with similar embeddings: each starts as the mean text embedding plus the code's centroid, which
    is projected at random into the hidden space and scaled to the spread of the text embeddings.

    codebooks: the centroids of every level's codes.
    seed: what the random projection is drawn from.

    Raises TrainerError if the vocabulary has such tokens already.
    """
    names = [token_name(level, code) for level, size in enumerate(codebooks.sizes) for code in range(size)]
    taken = [name for name in (*MARKERS, *names) if name in backbone.tokenizer.get_vocab()]
    if taken:
        raise TrainerError(f"the backbone's vocabulary already has {taken[0]}: start from a base without item tokens")
    backbone.tokenizer.add_tokens([AddedToken(n, special=True, normalized=False) for n in (*MARKERS, *names)])
    first = int(backbone.tokenizer.convert_tokens_to_ids(MARKERS[0]))
    model, generator = backbone.model, torch.Generator().manual_seed(seed)
    model.resize_token_embeddings(len(backbone.tokenizer), pad_to_multiple_of=VOCABULARY_MULTIPLE, mean_resizing=False)
    tables = {id(m.weight): m.weight for m in (model.get_input_embeddings(), model.get_output_embeddings())}
    with torch.no_grad():
        for table_VH in tables.values():
            text_VH = table_VH[:first].float()
            rows_NH = torch.randn(len(table_VH) - first, text_VH.shape[1], generator=generator)
            at = len(MARKERS)
            for centroids_CD in codebooks.centroids:
                rows_NH[at : at + len(centroids_CD)] = _projected_at_random(centroids_CD, text_VH.shape[1], generator)
                at += len(centroids_CD)
            rows_NH = rows_NH.to(table_VH.device)  # drawn on the CPU, so that every device gets the same
            table_VH[first:] = (text_VH.mean(0) + rows_NH * text_VH.std(0)).to(table_VH.dtype)
    backbone.text_rows = first


def _projected_at_random(centroids_CD: np.ndarray, hidden: int, generator: torch.Generator) -> torch.Tensor:
    """The centroids times a random matrix, scaled to mean 0 and variance 1, float32 [C, H]."""
    vectors_CD = torch.from_numpy(centroids_CD).float()
    vectors_CD = vectors_CD - vectors_CD.mean(0)
    projected_CH = vectors_CD @ torch.randn(vectors_CD.shape[1], hidden, generator=generator)
    return projected_CH / projected_CH.std().clamp_min(1e-8)


def pretrain(backbone: Backbone, documents: Sequence[str], recipe: BackboneRecipe, *, seed: int) -> Iterator[float]:
    """Pretrains a built base by language modelling with AdamW, and yields the loss of every step.

    documents: general text.
    recipe: how many steps there are (`pretrain_steps`), and the peak of the learning rate.
    """
    stream = token_stream(documents, backbone.text_tokenizer)
    rows_NT = token_rows(stream, 128, 16 * recipe.pretrain_steps, seed=seed)
    model, steps = backbone.model, recipe.pretrain_steps
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.pretrain_lr, weight_decay=0.05, foreach=True)
    generator = np.random.default_rng(seed)
    model.train()
    for step in range(steps):
        ids_BT = rows_NT[generator.integers(0, len(rows_NT), 16)]
        lr_share = min((step + 1) / (0.05 * steps + 1), 0.5 * (1 + math.cos(math.pi * step / steps)) + 0.02)
        for group in optimizer.param_groups:
            group["lr"] = recipe.pretrain_lr * lr_share
        loss = model(input_ids=ids_BT, labels=ids_BT).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        yield float(loss.detach())


@contextmanager
def dropout(model: PreTrainedModel, rate: float) -> Iterator[None]:
    """A context in which dropout is applied, in training mode, to embeddings and to the output of every block.

    Forward hooks apply it, so it works for every architecture, and the checkpoint's configuration stays as it is.
    """

    def drop(module: nn.Module, _inputs: Any, output: Any) -> Any:
        if not module.training:
            return output
        if isinstance(output, tuple):
            return (nn.functional.dropout(output[0], rate), *output[1:])
        return nn.functional.dropout(output, rate)

    hooks = [module.register_forward_hook(drop) for module in _blocks(model)] if rate > 0 else []
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _blocks(model: PreTrainedModel) -> Iterator[nn.Module]:
    yield model.get_input_embeddings()
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == getattr(model.config, "num_hidden_layers", -1):
            yield from module
