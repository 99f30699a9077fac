"""Modalities that the training rows of a model in Python must have, as those of runs must."""

from collections.abc import Mapping
from typing import Any

from motet.encoders import Joined
from motet.encoders.presence import PRESENT, present_in
from motet.model import MultiTaskModel
from motet.problems import InputError


class Modalities:
    """Finds modalities that are missing in all rows; the host waits for the device once per batch.

    Args:
        model: The model; one without several inputs has no modality.
    """

    def __init__(self, model: MultiTaskModel) -> None:
        joined = next((each for each in model.modules() if isinstance(each, Joined)), None)
        self._names = () if joined is None else joined.fusion.names
        self._found: dict[str, bool] = {}

    def add(self, inputs: Any) -> None:
        """Record which modalities some rows have."""
        if not isinstance(inputs, Mapping):
            return
        texts = inputs.get("texts")
        both = {**(texts if isinstance(texts, Mapping) else {}), **inputs}
        for name in self._names:
            tree = both.get(name)
            if isinstance(tree, Mapping) and PRESENT in tree:
                there = present_in(name, tree)
                assert there is not None  # the leaf is there
                self._found[name] = self._found.get(name, False) or bool(there.any())
            elif tree is not None:
                self._found[name] = True

    def check(self, what: str) -> None:
        """Refuse a modality that no row had.

        Args:
            what: What the rows are, to begin the message with.

        Raises:
            InputError: If there is one.
        """
        lacking = [name for name, found in self._found.items() if not found]
        if lacking:
            raise InputError(
                f"input {lacking[0]!r}: {what} lack it in all rows ({PRESENT!r} is False "
                "everywhere), so its encoder would learn nothing; remove the input"
            )
