"""What every encoder is: a module that can be frozen as a whole."""

from motet.freezable import Freezable
from motet.problems import InputError
from motet.states import Gives


class Encoder(Freezable):
    """Base of encoders: from inputs to features (B, width), or to `motet.states.TokenStates`.

    A subclass sets ``width`` and has a ``forward``. Of what it may say besides, ``reads`` is
    "table" or "text" and tells for which inputs a config may name it; see `motet.register`. One of
    texts is made with ``(vocabulary, segments)`` and returns what `motet.encoders.hand_on` makes of
    the states of tokens; one of tables with ``(numbers, categories)``. Any other module that has a
    ``width`` is an encoder for a model, too, but cannot freeze itself.

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
    """What it gives, by the names of `motet.states`; unknown until it is called if left out."""
    more_stages: str | None = None
    """Which option makes more stages of it, as a clause; empty if it is one stage in any case."""

    def freeze(self, *, evaluation: bool = False) -> None:
        """Stop training all parameters; a model that has the encoder knows of it.

        Args:
            evaluation: Whether it computes as in evaluation from now on, without dropout and with
                BatchNorm's averages as they are, also when a module around it goes into training.

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
