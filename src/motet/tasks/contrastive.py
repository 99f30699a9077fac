"""Contrastive learning: two views of a row near each other, those of other rows farther away."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal, cast, final

import torch
from torch import Tensor

from motet.options import (
    AuxiliaryOptions,
    PositiveFloat,
    PositiveInt,
    PositiveShare,
    Unpack,
    checked,
)
from motet.problems import InputError
from motet.tasks.additive import size_of
from motet.tasks.auxiliary import Auxiliary
from motet.tasks.input_views import InputViews
from motet.tasks.kinds import LabelKind
from motet.tasks.labels import at_least_float32
from motet.tasks.losses.embeddings import nt_xent
from motet.tasks.row_views import RowViews, both
from motet.tasks.row_weights import COMPARED, refuse_weights

Views = Callable[[Any, torch.Generator], tuple[Any, Any]]
"""Makes two views of inputs."""
CHANGES: tuple[Any, ...] = ("swap", "drop")
"""Ways of changing a row."""


@final
class Contrastive(Auxiliary):
    """Recognise the other view of a row among those of a batch (SimCLR; Chen et al., ICML 2020).

    An auxiliary task: it needs no labels, has no predictions, and shapes what is shared. The first
    view is the row as the data have it, the second is changed; other inputs than tables and texts
    are the same in both. Or one input is the second view, and all others are the first. The loss is
    NT-Xent, the mean over both views of all rows, in one forward pass. It compares all rows of a
    batch, so larger batches make it harder, and a batch of one row counts 0.

    Args:
        name: The task's name.
        views: How the second view is made. ``swap`` gives cells of tables the value of another row
            (Bahri et al., ICLR 2022), ``drop`` makes numbers 0 and categories unknown; both leave
            out words of texts. The name of an input makes it the second view and the others the
            first; what a view lacks is empty in it. From Python also a function ``(inputs,
            generator)`` that returns the inputs of both views.
        share: Share of the cells and words that are changed by ``swap`` and ``drop``; 0.3 if left
            out.
        width: Numbers of the embedding that is compared.
        temperature: Divides the cosines: the lower, the more the nearest rows count.
        **common: Options of every auxiliary task; see `motet.options.AuxiliaryOptions`.

    Raises:
        InputError: If an option is unknown, wrong, or would be ignored.

    Example:
        >>> same = Contrastive("same", width=2)
        >>> seen, partner = same.view(torch.eye(3), torch.Generator().manual_seed(0))
        >>> seen.shape, partner
        (torch.Size([6, 3]), tensor([3, 4, 5, 0, 1, 2]))
    """

    kind: ClassVar[str] = "contrastive"
    labels: ClassVar[LabelKind | str] = "none"
    additive: ClassVar[bool] = False
    loss_name = "nt_xent"

    @checked
    def __init__(
        self,
        name: str,
        *,
        views: str | Callable[..., Any] = "swap",
        share: PositiveShare | None = None,
        width: PositiveInt = 64,
        temperature: PositiveFloat = 0.5,
        **common: Unpack[AuxiliaryOptions],
    ) -> None:
        super().__init__(name, **common)
        self.outputs, self.temperature = width, temperature
        if views not in CHANGES and share is not None:
            what = "a function" if callable(views) else f"views: {views}, an input"
            raise InputError(
                f"has no effect with {what}; remove it", option="share", owner=f"task {name!r}"
            )
        self._views = _views(views, 0.3 if share is None else share)

    def read_shapes(self, shapes: Any) -> None:
        if isinstance(self._views, RowViews | InputViews):
            self._views.read_shapes(shapes, f"task {self.name!r}")

    def applies(self, inputs: Any) -> bool:
        return not isinstance(self._views, InputViews) or self._views.applies(inputs)

    def view(self, inputs: Any, generator: torch.Generator) -> tuple[Any, Tensor]:
        found: Any = self._views(inputs, generator)
        if not (isinstance(found, tuple) and len(found) == 2):
            raise InputError(
                f"views: the function returned {type(found).__name__}; expected the inputs of both "
                "views: (first, second)",
                owner=f"task {self.name!r}",
            )
        made, rows = both(*found)
        numbers = torch.arange(2 * rows, device=generator.device)
        return made, numbers.roll(rows)

    def loss(
        self, raw: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Add up NT-Xent over both views of all rows.

        Args:
            raw: Embeddings of the first views, then of the second, (2 B, width).
            target: The place of each one's partner (2 B,).
            weights: None, as weights are not supported.

        Returns:
            Sum () and count () of views; (0, 0) for one row.
        """
        refuse_weights(self, weights)
        raw = at_least_float32(raw)
        self._expect(raw, (len(target), self.outputs))
        losses = nt_xent(raw, target, self.temperature)
        return (losses if len(target) > 2 else losses[:0]).sum(), self.count(target)

    def count(self, target: Tensor, weights: Tensor | None = None) -> Tensor:
        return size_of(target if len(target) > 2 else target[:0])

    @property
    def without_weights(self) -> str:
        """Why views cannot have weights of rows."""
        return COMPARED


def _views(views: str | Views, share: float) -> Views:
    if not isinstance(views, str):
        return views
    changed = views in CHANGES
    return RowViews(cast(Literal["swap", "drop"], views), share) if changed else InputViews(views)
