"""Pretrained text encoders, from a folder on this machine."""

import inspect
import json
from pathlib import Path
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from motet.encoders.adaptable import Adaptable
from motet.encoders.adapters import LEARNING_RATE as ADAPTER_LEARNING_RATE
from motet.encoders.hugging_face import LEARNING_RATE, loaded, plain
from motet.encoders.tokens import PAD, Text, as_text, filled_up, token_states
from motet.options import (
    Adapter,
    Annotated,
    FolderPath,
    Mapping,
    Place,
    PositiveFloat,
    PositiveInt,
    StrictBool,
    checked,
)
from motet.problems import InputError, reason
from motet.states import TokenStates


@final
class Pretrained(Adaptable):
    """Start from the encoder of a Hugging Face model in a local folder.

    Nothing is downloaded, and no code in the folder is run. Only the layers that compute states of
    tokens are kept: the encoder of a model that also generates text, all but poolers and heads of
    others. States are those of ``transformers`` on the same tokens.

    Token 0 is padding here. A model whose token 0 is another sees all tokens less one.

    Args:
        vocabulary: How many tokens the texts' tokenizer has, padding included; as many as the model
            if left out.
        segments: 1, or 2 for pairs of texts.
        path: Folder with config and weights.
        architecture: A Hugging Face config, as a mapping with ``model_type``, in place of ``path``:
            the same model with random first weights.
        layers: How many layers to keep, the first ones; all if left out.
        pool: How a whole text gets one state from those of its tokens.
        checkpointing: Keep only the states between layers and compute the rest again in the
            backward pass: less memory, about a third more time.
        learning_rate: Learning rate of what is trained of it. If left out: 1e-3 with ``adapter``,
            else 2e-5 with ``path``, and the optimizer's with ``architecture``.
        adapter: Train small matrices beside the model's weights, which stay as they are: ``{type:
            lora, rank: 8}``; see `motet.encoders.adapters`.

    Raises:
        InputError: If the folder does not hold such a model, the tokenizer is another model's, an
            adapter does not fit the model, or ``transformers`` or ``peft`` is not installed.
    """

    reads = "text"
    more_stages = ""
    gives = "tokens"
    is_pretrained = True

    @checked
    def __init__(
        self,
        vocabulary: PositiveInt | None = None,
        segments: PositiveInt = 1,
        *,
        path: Annotated[FolderPath | None, Place()] = None,
        architecture: Mapping[str, Any] | None = None,
        layers: PositiveInt | None = None,
        pool: Literal["mean", "first", "max"] = "mean",
        checkpointing: StrictBool = False,
        learning_rate: PositiveFloat | None = None,
        adapter: Adapter | None = None,
    ) -> None:
        super().__init__()
        model, config = loaded(path, architecture, layers, _with_padding)
        # models that generate text keep no past states here; of a folder, the model has a copy
        config.use_cache = model.config.use_cache = False
        self.model: nn.Module = _encoder_of(model, str(config.model_type))
        self.architecture = plain(config)
        self.pool = pool
        self.width = int(config.hidden_size)
        self.adapt(adapter)
        self.full_learning_rate = LEARNING_RATE if path is not None else None
        default = ADAPTER_LEARNING_RATE if adapter else self.full_learning_rate
        self.own_learning_rate = learning_rate or default
        self._first = 0 if config.pad_token_id == PAD else 1  # the model's token 0, here
        self._filler = config.pad_token_id or 0  # what the model sees at padding
        size = int(config.vocab_size) + self._first
        if vocabulary is not None and vocabulary > size:
            raise InputError(
                f"the tokenizer has {vocabulary:,} tokens, padding included, but the model knows "
                f"{size:,}; use the tokenizer from the model's own folder"
            )
        self._parts = segments > 1 and getattr(config, "type_vocab_size", 1) > 1
        self.max_length = _max_length(config, self.model)
        if checkpointing:
            self._save_memory()

    def forward(self, text: Text | Tensor, padding_mask: Tensor | None = None) -> TokenStates:
        """Encode texts; see `motet.encoders.Encoder`.

        Returns:
            The states.

        Raises:
            InputError: If a text is too long, or the model does not know its tokens.
        """
        text, padding = as_text(text, padding_mask)
        self._check_length(padding.shape[1])
        weight = next(self.model.parameters())
        filled, ignored = filled_up(text, padding, weight, self.max_length)
        ids = filled["ids"]
        seen = ~ignored
        seen[:, 0] = True  # a text without token attends to its padding, as softmax needs something
        more: dict[str, Tensor] = {}
        if self._parts:
            if "segments" not in text:
                raise InputError("a text has no segments, expected 0 or 1 for each of its tokens")
            more["token_type_ids"] = filled["segments"]
        try:
            given = self.model(self._own(ids), attention_mask=seen.long(), **more)
        except IndexError:  # on the CPU; a GPU has its own message
            raise InputError(
                f"texts have tokens up to {int(ids.max())}, which the model does not know: use the "
                "tokenizer from the model's own folder"
            ) from None
        return token_states(given.last_hidden_state, padding, text, self.pool)

    def _own(self, ids: Tensor) -> Tensor:
        """Return tokens as the model numbers them."""
        if not self._first:
            return ids
        return torch.where(ids == PAD, self._filler, ids - self._first)

    def portable_options(self) -> dict[str, Any]:
        """Return options that make the same model without the folder, its weights aside."""
        return {
            "path": None,
            "architecture": self.architecture,
            "learning_rate": self.own_learning_rate,
            "adapter": None if self.adapter is None else self.adapter.plain(),
        }

    def _check_length(self, length: int) -> None:
        if self.max_length is not None and length > self.max_length:
            raise InputError(
                f"a text has {length:,} tokens, but the model has positions for "
                f"{self.max_length:,}; cut texts: max_length: {self.max_length} of the input"
            )

    def _save_memory(self) -> None:
        if not getattr(self.model, "supports_gradient_checkpointing", False):
            kind = self.architecture["model_type"]
            raise InputError(
                f"{kind} cannot recompute its layers; remove checkpointing", option="checkpointing"
            )
        kind = (
            "activation" if hasattr(self.model, "activation_checkpointing_enable") else "gradient"
        )
        enable: Any = getattr(self.model, f"{kind}_checkpointing_enable")
        # the reentrant form knows no gradients of single tasks
        more = {"context_fn": self.repeated} if self.per_task else {}
        enable({"use_reentrant": False, **more})


def _with_padding(config: Any, folder: Path) -> None:
    """Correct the padding token of a config by the folder's tokenizer."""
    first = _first_token(folder)
    if first is not None and first.strip("[]<>|").lower() in ("pad", "padding"):
        config.pad_token_id = PAD
    elif first is not None and config.pad_token_id == PAD:
        config.pad_token_id = None  # the default of a config, but wrong here


def _first_token(folder: Path) -> str | None:
    """Return token 0 of the folder's tokenizer, if it has one."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        known = {each["id"]: each["content"] for each in content.get("added_tokens", ())}
        vocabulary = content["model"]["vocab"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} cannot be read: {reason(error)}", option="path") from None
    if isinstance(vocabulary, list):  # of a unigram model: (token, score)
        vocabulary = {token: place for place, (token, _) in enumerate(vocabulary[:1])}
    return known.get(0) or next((token for token, place in vocabulary.items() if place == 0), None)


def _encoder_of(model: Any, kind: str) -> nn.Module:
    """Return the module that computes states of tokens, without the layers on top."""
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    if model.main_input_name != "input_ids":
        raise InputError(f"{kind} reads {model.main_input_name}, expected a model of texts")
    if "attention_mask" not in inspect.signature(model.forward).parameters:
        raise InputError(
            f"{kind} reads padding like any other token (it has no attention mask), so that the "
            "states of a text would depend on its batch; expected a model with a mask, such as bert"
        )
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # would be saved and counted, and never trained
    found: nn.Module = model
    return found


def _max_length(config: Any, model: nn.Module) -> int | None:
    """Return how many tokens there are positions for; some models begin after the padding's."""
    places = getattr(config, "max_position_embeddings", None)
    if not isinstance(places, int) or places <= 0:
        return None
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            return places - (0 if module.padding_idx is None else module.padding_idx + 1)
    return places
