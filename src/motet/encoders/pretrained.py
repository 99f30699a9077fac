"""Pretrained text encoders, from a folder on this machine."""

import inspect
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from motet.encoders.adaptable import Adaptable
from motet.encoders.adapters import LEARNING_RATE as ADAPTER_LEARNING_RATE
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

LEARNING_RATE = 2e-5
"""Default learning rate of pretrained weights."""

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")


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
        segments: int = 1,
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
        if (path is None) == (architecture is None):
            found = "neither" if path is None else "both"
            raise InputError(
                f"found {found} of path and architecture, expected one: path, a folder with a "
                "Hugging Face model, or architecture, the config of one"
            )
        with _quiet_transformers() as transformers:
            if path is not None:
                config = _read_config(transformers, _folder(path), layers)
                model = _read_model(transformers, Path(path), config)
            else:
                config = _made_config(transformers, architecture or {}, layers)
                model = _made_model(transformers, config)
        self.model: nn.Module = _encoder_of(model, str(config.model_type))
        self.architecture = _plain(config)
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


@contextmanager
def _quiet_transformers() -> Iterator[Any]:
    """Import ``transformers``, without its bars and reports."""
    try:
        import transformers
        from transformers.utils import logging as reports
    except ImportError:
        raise InputError(
            'the encoder pretrained needs transformers: pip install "motet[text]"'
        ) from None
    bars: Any = reports  # untyped
    before, shown = reports.get_verbosity(), reports.is_progress_bar_enabled()
    reports.set_verbosity(logging.CRITICAL)
    bars.disable_progress_bar()
    try:
        yield transformers
    finally:
        reports.set_verbosity(before)
        if shown:
            bars.enable_progress_bar()


def _folder(path: str) -> Path:
    folder = Path(path)
    if not folder.is_dir():
        raise InputError(
            f"found {path!r}, which is not a folder here; models are not downloaded: save one with "
            "save_pretrained(folder) or copy it, and give that folder",
            option="path",
        )
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{path} has no config.json, expected the folder of a Hugging Face model", option="path"
        )
    if not any((folder / name).is_file() for name in _WEIGHTS):
        raise InputError(
            f"{path} has no weights in {_WEIGHTS[0]}; a pytorch_model.bin is a pickle, which can "
            "hold code: save the model again with save_pretrained(folder, safe_serialization=True)",
            option="path",
        )
    return folder


def _read_config(transformers: Any, folder: Path, layers: int | None) -> Any:
    try:
        config = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except (ValueError, OSError, KeyError) as error:
        raise InputError(
            f"{folder / 'config.json'} cannot be used: {reason(error)}", option="path"
        ) from None
    first = _first_token(folder)
    if first is not None and first.strip("[]<>|").lower() in ("pad", "padding"):
        config.pad_token_id = PAD
    elif first is not None and config.pad_token_id == PAD:
        config.pad_token_id = None  # the default of a config, but wrong here
    return _cut(config, layers)


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


def _made_config(transformers: Any, architecture: Mapping[str, Any], layers: int | None) -> Any:
    options = dict(architecture)
    kind = options.pop("model_type", None)
    try:
        config = transformers.AutoConfig.for_model(kind, **options)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"found model_type {kind!r}, which transformers cannot make: {reason(error)}",
            option="architecture",
        ) from None
    return _cut(config, layers)


def _cut(config: Any, layers: int | None) -> Any:
    """Let a config have fewer layers."""
    if layers is None:
        return config
    there = getattr(config, "num_hidden_layers", 0)
    if layers > there:
        raise InputError(f"found {layers}, but the model has {there}", option="layers")
    if isinstance(types := getattr(config, "layer_types", None), list):  # one for each layer
        config.layer_types = types[:layers]
    config.num_hidden_layers = layers
    return config


def _read_model(transformers: Any, folder: Path, config: Any) -> Any:
    try:
        model, report = transformers.AutoModel.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:  # whatever reading broken files raises
        raise InputError(
            f"the weights in {folder} cannot be used: {reason(error)}", option="path"
        ) from None
    missing = sorted(name for name in report["missing_keys"] if "pooler" not in name)
    if missing:
        raise InputError(
            f"the weights in {folder} are of another model: {len(missing)} tensors are not there, "
            f"among them {missing[0]}",
            option="path",
        )
    return model


def _made_model(transformers: Any, config: Any) -> Any:
    try:
        return transformers.AutoModel.from_config(config, dtype=torch.float32)
    except Exception as error:  # sizes that do not fit each other raise whatever they happen to
        raise InputError(f"it cannot be made: {reason(error)}", option="architecture") from None


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
    model.config.use_cache = False  # of past states, for models that generate text
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # would be saved and counted, and never trained
    found: nn.Module = model
    return found


def _plain(config: Any) -> dict[str, Any]:
    """Return a config as JSON holds it, without the folder it came from."""
    plain: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    for key in ("_name_or_path", "transformers_version", "architectures", "dtype"):
        plain.pop(key, None)
    return plain


def _max_length(config: Any, model: nn.Module) -> int | None:
    """Return how many tokens there are positions for; some models begin after the padding's."""
    places = getattr(config, "max_position_embeddings", None)
    if not isinstance(places, int) or places <= 0:
        return None
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            return places - (0 if module.padding_idx is None else module.padding_idx + 1)
    return places
