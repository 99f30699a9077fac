"""The base of encoders: a module that can be frozen as a whole."""

from collections.abc import Mapping
from typing import ClassVar

from motet.freezable import Freezable
from motet.problems import InputError
from motet.states import Gives


class Encoder(Freezable):
    """Base of encoders: from inputs to features (B, width), or to another of `motet.states`.

    A subclass sets ``width`` and has a ``forward``. It may declare the kind of input that it
    ``reads``, for use in configs (see `motet.register`), and what it ``gives``. Any other module
    that has a ``width`` is an encoder for a model, too, but cannot freeze itself.

    An encoder that reads "table" is made with ``(numbers, categories)``. One that reads "text" is
    made with ``(vocabulary, segments)``; its ``forward`` takes texts as `motet.encoders.tokens`
    describes them, tokens (B, L) or ``{"ids": tokens, ...}``, perhaps a padding mask (B, L), True
    at padding, which comes after the tokens (token 0 is padding if left out), and returns
    `motet.encoders.token_states`: a state per token or word, and one per text.

    One that reads "inputs" takes the whole tree of all inputs, in place of an encoder for each and
    their fusion. It is made with a `motet.data.inputs.shapes.InputShapes`, whose ``by_name`` has
    the shape of each input, and whose ``split(inputs)`` returns the tree of each.

    Example:
        >>> import torch
        >>> class Doubled(Encoder):
        ...     def __init__(self, width):
        ...         super().__init__()
        ...         self.layer, self.width = torch.nn.Linear(width, width), width
        ...
        ...     def forward(self, inputs):
        ...         return 2 * self.layer(inputs)
        >>> encoder = Doubled(3)
        >>> encoder.freeze(evaluation=True)
        >>> encoder.frozen, encoder.train().training
        (True, False)
    """

    width: int
    """Width of the features."""
    gives: Gives
    """What it returns, by the names of `motet.states`; unknown until it is called if left out."""
    members: int | None = None
    """How many members it has, if it gives ``"members"``, see `motet.states`."""
    reads: str | tuple[str, ...] | Mapping[str, tuple[str, ...]]
    """The kind of input that it reads: "table", "text", the ``reads`` of another input's shape, or
    "inputs", all of them at once; "table" if left out. Several kinds as a tuple, or a mapping where
    each has its own arguments: ``{kind: names of its constructor's parameters}``."""
    reads_tokens: bool = True
    """Of one that reads "text": whether its states depend on the tokens."""
    asks: ClassVar[tuple[str, ...]] = ()
    """Of one that reads "text": what it reads beside them, see `motet.data.text_parts`."""
    not_causal: str = "does not declare states that are independent of later tokens"
    """Why it cannot read texts that have ``"causal"``; empty if it can, see
    `motet.encoders.tokens`."""
    more_stages: str | None = None
    """Which option makes more stages of it, as a clause; empty if it is one stage in any case."""

    def freeze(self, *, evaluation: bool = False) -> None:
        """Stop training all parameters; a model that contains the encoder takes it into account.

        Args:
            evaluation: Whether it computes as in evaluation from now on, without dropout and with
                BatchNorm's averages as they are, also when a module around it is put into training
                mode.

        Raises:
            InputError: If the encoder has no parameter.
        """
        parameters = list(self.parameters())
        if not parameters:
            raise InputError(
                f"{type(self).__name__} has no parameter, so there is nothing to freeze"
            )
        self._freeze(parameters, evaluation)

    def unfreeze(self) -> None:
        """Train all parameters again."""
        self._unfreeze(self.parameters())

    @property
    def frozen(self) -> bool:
        """Whether there are parameters and none is trained."""
        trained = [parameter.requires_grad for parameter in self.parameters()]
        return bool(trained) and not any(trained)


def kinds_read(encoder: object) -> tuple[str, ...]:
    """Return the kinds of input that an encoder, or its class, reads.

    >>> kinds_read(Encoder)
    ('table',)
    """
    reads = getattr(encoder, "reads", "table")
    return (reads,) if isinstance(reads, str) else tuple(reads)
