"""Auxiliary tasks: trained along with the others to shape what is shared, and never predicted.

An auxiliary task has no labels in the data. It makes rows and a target of its own from the inputs,
in ``view``, and these are a forward pass of their own. Write your own with two methods:

    >>> import torch
    >>> from motet.tasks import Auxiliary
    >>> class Reversed(Auxiliary):
    ...     '''Recognise sequences of numbers that were reversed from others.'''
    ...
    ...     kind = "reversed"
    ...
    ...     def view(self, inputs, generator):
    ...         turned = torch.rand(len(inputs), generator=generator) < 0.5
    ...         return torch.where(turned[:, None], inputs.flip(1), inputs), turned.float()
    ...
    ...     def loss(self, raw, target, weights=None):
    ...         loss = torch.nn.functional.binary_cross_entropy_with_logits
    ...         return self.add_up(loss, raw, target, weights)
    >>> seen, target = Reversed("order").view(torch.eye(2), torch.Generator().manual_seed(0))
    >>> seen.shape, target.shape
    (torch.Size([2, 2]), torch.Size([2]))
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from motet.options import AUXILIARY_DEFAULTS, AuxiliaryOptions, Unpack, checked
from motet.problems import InputError
from motet.tasks.base import Task
from motet.tasks.kinds import LabelKind
from motet.tasks.prediction import Prediction


class Auxiliary(Task):
    """A task that makes its own rows and targets. Subclasses must have ``view`` and ``loss``.

    It is evaluated by its loss, has no metrics and no score, and is left out of predictions.

    Args:
        name: The task's name, in configs, results and messages.
        **common: Options of every auxiliary task; see `motet.options.AuxiliaryOptions`.

    Raises:
        InputError: If an option is unknown or wrong.
    """

    labels: ClassVar[LabelKind | str] = "none"
    frequency: str | Mapping[str, Any]
    """When it trains; see `motet.options.AuxiliaryOptions`."""

    @checked
    def __init__(self, name: str, **common: Unpack[AuxiliaryOptions]) -> None:
        options: dict[str, Any] = {**AUXILIARY_DEFAULTS, **common}
        balanced, frequency = options.pop("balanced"), options.pop("frequency")
        super().__init__(name, **options)
        self.balanced, self.frequency = balanced, frequency

    @abstractmethod
    def view(self, inputs: Any, generator: torch.Generator) -> tuple[Any, Tensor]:
        """Make rows and their target from a batch of inputs, which must stay as they are.

        Args:
            inputs: What the model takes: a tensor (B, ...), or a mapping of tensors.
            generator: On the device of the inputs, seeded by (seed, step); evaluation always draws
                the same.

        Returns:
            Inputs of the same form, of B' rows, and the target (B', ...) that `loss` takes.
        """

    def applies(self, inputs: Any) -> bool:
        """Return whether `view` can be made of rows that lack some inputs; by default of all.

        Args:
            inputs: What the model takes, or some of it: None under the names of inputs that rows
                lack, as those of a source without them.
        """
        return True

    def decode(self, raw: Tensor) -> Prediction:
        return Prediction(raw.double())

    def check(self, target: Tensor) -> None:
        raise InputError(
            f"targets: found some for {self.name!r}, an auxiliary task, which makes its own; "
            "remove them"
        )
