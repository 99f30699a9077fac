"""Adapters in a Hugging Face model: LoRA by the library peft, and their files in its format.

A product B A of low rank is added to chosen matrices of a frozen model (Hu et al., ICLR 2022,
arXiv:2106.09685). B starts at zero, so that a new adapter changes nothing, to the last bit.
"""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from motet.extras import imported
from motet.problems import InputError, reason
from motet.writing import replacing

LEARNING_RATE = 1e-3
"""Default learning rate of adapters: few numbers that start at zero, far above that of a model."""

SHARED = "shared"
"""Name of the adapter that all tasks share."""

_ALL = "all-linear"

_TARGETS = {
    "albert": ("query", "value"),
    "distilbert": ("q_lin", "v_lin"),
    "modernbert": ("Wqkv",),
    "mpnet": ("attn.q", "attn.v"),
}
"""Queries and values of models that peft has no default for."""


@dataclass(frozen=True)
class LowRank:
    """An adapter with all options given; see `motet.options.Adapter`."""

    rank: int
    alpha: float
    dropout: float
    targets: str | tuple[str, ...]
    layers: tuple[int, ...] | None
    per_task: bool
    merge: bool

    @classmethod
    def of(cls, given: Mapping[str, Any], model: nn.Module) -> "LowRank":
        """Fill options up with the defaults for a model.

        Returns:
            The options.

        Raises:
            InputError: If there is no default for its type, or ``merge`` with ``per_task``.
        """
        options = {key: value for key, value in given.items() if key != "type"}
        rank = options.setdefault("rank", 8)
        options.setdefault("alpha", 2.0 * rank)
        options.setdefault("dropout", 0.0)
        if options.get("targets") is None:
            options["targets"] = _default_targets(model)
        options.setdefault("layers", None)
        for each in ("per_task", "merge"):
            options.setdefault(each, False)
        if options["merge"] and options["per_task"]:
            raise InputError(
                "found it with per_task: one matrix of weights holds one adapter; remove merge, "
                "and merge the adapter of a task when needed: encoder.merged(task)",
                option="adapter.merge",
            )
        return cls(**options)

    def plain(self) -> dict[str, Any]:
        """Return the options as JSON holds them."""
        found = {"type": "lora", **asdict(self)}
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in found.items()
            if value is not None
        }

    def add(self, model: nn.Module, name: str) -> None:
        """Put a new adapter into a model, beside those that it has.

        Raises:
            InputError: If its modules are not there, or cannot have one.
        """
        peft = _peft()
        before = {id(p): p.requires_grad for p in model.parameters()}
        targets = self._in_layers(model) or self.targets
        config = peft.LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=targets if isinstance(targets, str) else list(targets),
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Already found a `peft_config`", UserWarning)
            warnings.filterwarnings("ignore", "fan_in_fan_out is set", UserWarning)
            try:
                peft.inject_adapter_in_model(config, model, adapter_name=name)
            except (ValueError, TypeError, NotImplementedError) as error:
                raise InputError(self._refusal(error, model), option="adapter") from None
        self._check(model)
        for parameter in model.parameters():
            parameter.requires_grad_(before.get(id(parameter), True))

    def _in_layers(self, model: nn.Module) -> list[str]:
        """Name the modules of the chosen layers that get an adapter; none without ``layers``."""
        # peft would count the parts within a layer of T5, and finds no layer of GPT-2
        ends = _linear_names(model) if self.targets == _ALL else self.targets
        return [
            name
            for name, _ in model.named_modules()
            if _layer_of(name) in (self.layers or ()) and _is_target(name, ends)
        ]

    def _refusal(self, error: Exception, model: nn.Module) -> str:
        return (
            f"peft cannot make it: {reason(error)} The linear modules of the model: "
            f"{', '.join(_linear_names(model))}"
        )

    def _check(self, model: nn.Module) -> None:
        """Refuse targets and layers that are not there, which peft leaves out if others are."""
        adapted = adapted_names(model)
        for target in self.targets if isinstance(self.targets, tuple) else ():
            if not any(_is_target(name, (target,)) for name in adapted):
                raise InputError(
                    f"found {target!r}, which no module is named"
                    f"{' in these layers' if self.layers else ''}; expected ends of names, such as "
                    f"{', '.join(sorted({name.rpartition('.')[2] for name in adapted}))}",
                    option="adapter.targets",
                )
        for number in self.layers or ():
            if number not in map(_layer_of, adapted):
                raise InputError(
                    f"found {number}, but the model has no layer of this number that can have an "
                    "adapter; they are counted from 1",
                    option="adapter.layers",
                )


def adapted_modules(model: nn.Module) -> list[Any]:
    """List the modules of a model that hold adapters."""
    return [each for each in model.modules() if hasattr(each, "lora_A")]


def adapted_names(model: nn.Module) -> list[str]:
    """Name the modules of a model that hold adapters."""
    return [name for name, each in model.named_modules() if hasattr(each, "lora_A")]


def adapter_parameters(model: nn.Module, name: str | None = None) -> Iterator[nn.Parameter]:
    """Yield the parameters of an adapter, of all of them if no name is given."""
    for each in adapted_modules(model):
        for matrices in (each.lora_A, each.lora_B, each.lora_embedding_A, each.lora_embedding_B):
            for own, matrix in matrices.items():
                if name in (None, own):
                    yield from [matrix] if isinstance(matrix, nn.Parameter) else matrix.parameters()


def draw_first(model: nn.Module) -> None:
    """Draw the first weights of all adapters anew, which change nothing."""
    for each in adapted_modules(model):
        for name in model.peft_config:  # type: ignore[union-attr]  # set by peft
            each.reset_lora_parameters(name, init_lora_weights=True)


@contextmanager
def in_use(model: nn.Module, names: list[str]) -> Iterator[None]:
    """Compute with some adapters within a block."""
    modules = adapted_modules(model)
    before = [each._active_adapter for each in modules]
    for each in modules:
        each._active_adapter = names  # set_adapter would change which parameters are trained, too
    try:
        yield
    finally:
        for each, own in zip(modules, before, strict=True):
            each._active_adapter = own


def without(model: nn.Module, name: str) -> None:
    """Remove an adapter; its modules stay ready for others."""
    for each in adapted_modules(model):
        each.delete_adapter(name)
    del model.peft_config[name]  # type: ignore[union-attr, operator]  # set by peft


def merged(model: nn.Module, name: str) -> nn.Module:
    """Copy a model, with an adapter added to its weights and none beside them.

    Returns:
        The copy.
    """
    copy = deepcopy(model)
    for place in adapted_names(copy):
        module: Any = copy.get_submodule(place)
        module.merge(adapter_names=[name])
        above, _, own = place.rpartition(".")
        setattr(copy.get_submodule(above), own, module.get_base_layer())
    for parameter in copy.parameters():
        parameter.requires_grad_(True)
    del copy.peft_config
    return copy


def write_adapter(model: nn.Module, name: str, folder: Path) -> None:
    """Write an adapter as peft reads it: its settings, and its weights as safetensors."""
    configs: Any = model.peft_config
    folder.mkdir(parents=True, exist_ok=True)
    settings = replace(configs[name], inference_mode=True)
    if isinstance(settings.target_modules, set):  # whose order is another one in each process
        settings.target_modules = sorted(settings.target_modules)
    settings.save_pretrained(str(folder))
    found = {}
    for key, value in model.state_dict().items():
        parts = key.split(".")
        if name in parts and any(part.startswith("lora_") for part in parts):
            parts.remove(name)
            found[".".join(("base_model.model", *parts))] = value.contiguous()
    with replacing(folder / "adapter_model.safetensors") as path:
        save_file(found, path, {"format": "pt"})


def _is_target(name: str, targets: str | Sequence[str]) -> bool:
    """Whether a module is among targets: ends of names, or an expression as peft has some."""
    if isinstance(targets, str):
        return re.fullmatch(targets, name) is not None
    return any(name == target or name.endswith(f".{target}") for target in targets)


def _layer_of(name: str) -> int | None:
    """Return the number, from 1, of the layer that a module is in: the first in its name."""
    found = re.search(r"(?:^|\.)(\d+)\.", name)
    return None if found is None else int(found[1]) + 1


def _linear_names(model: nn.Module) -> list[str]:
    """List the ends of the names of linear modules, with or without adapters; Conv1D is GPT-2's."""
    found = {
        name.removesuffix(".base_layer").rpartition(".")[2]: None
        for name, each in model.named_modules()
        if type(each).__name__ in ("Linear", "Conv1D") and "lora_" not in name
    }
    return list(found)


def _default_targets(model: nn.Module) -> str | tuple[str, ...]:
    kind = str(model.config.model_type)  # type: ignore[union-attr]  # a config of transformers
    if kind in _TARGETS:
        return _TARGETS[kind]
    known = _peft().utils.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
    if kind not in known:
        raise InputError(
            f"is needed, as there is no default for {kind}: give ends of the names of modules, or "
            "all-linear",
            option="adapter.targets",
        )
    found = known[kind]
    return found if isinstance(found, str) else tuple(found)


def _peft() -> Any:
    return imported("peft", "adapters need", option="adapter")
