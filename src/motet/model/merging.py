"""Models whose adapters are added to the weights of their encoders, where that was asked for."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from torch import Tensor

from motet.model.multi_task_model import MultiTaskModel


def with_merged_adapters(
    model: MultiTaskModel, state: Mapping[str, Tensor] | None = None
) -> MultiTaskModel:
    """Return a model without the adapters that are to be merged: itself, or a copy.

    Args:
        model: The model.
        state: Other weights of the model, to merge in place of its own.
    """
    if not any(getattr(each, "merges", False) for each in model.modules()):
        return model
    copy = deepcopy(model)
    if state is not None:
        copy.load_state_dict(dict(state))
    for name, each in list(copy.named_modules()):
        if getattr(each, "merges", False):
            above, _, own = name.rpartition(".")
            encoder: Any = each
            setattr(copy.get_submodule(above), own, encoder.merged())
    return copy
