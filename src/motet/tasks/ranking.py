"""Ranking: a score for each row, by which the rows of a list are put in order."""

from typing import Annotated, Any, ClassVar, Literal, final

import torch
from torch import Tensor

from motet.options import Callable, Named, OnlyWith, TaskOptions, Unpack, checked
from motet.problems import InputError, RowError
from motet.tasks.additive import number_of, sum_masked, sum_selected
from motet.tasks.base import Prediction, Task
from motet.tasks.kinds import LabelKind, Likelihood
from motet.tasks.labels import as_vector, at_least_float32
from motet.tasks.losses.finding import find_loss
from motet.tasks.losses.rankings import listnet, number_of_lists, ranknet
from motet.tasks.row_weights import COMPARED, refuse_weights
from motet.tasks.statistics import LabelStatistics

_EXACT = 1 << 24
"""Whole numbers up to here are different in float32."""


@final
class Ranking(Task):
    """Score rows so that the relevant ones of each list come first.

    Targets are (B, 2): the relevance of a row, a number from 0 on, and the number of its query,
    whose rows are one list; NaN in either means that the row is in no list. Lists are never cut:
    by the batches of rows in memory, by micro-batches or by evaluation. A loader of batches has to
    give whole lists.

    The loss is a mean over lists (over rows if pointwise). Lists with nothing to compare count 0:
    those of one row, and pairwise those whose rows are all equally relevant.

    Args:
        name: The task's name.
        form: ``pointwise`` compares scores with relevance, row by row; ``pairwise`` (RankNet)
            compares the rows of a list two by two; ``listwise`` (ListNet) a whole list at once.
        query: Column that names the query of each row; for configs, where it is required.
        loss: Loss of ``pointwise``: mse, or binary_cross_entropy for relevance between 0 and 1.
        weighting: Of the pairs of ``pairwise``: equal, or ndcg, the change of NDCG if the two rows
            changed places (LambdaRank).
        **common: Options of every task; see `motet.options.TaskOptions`.

    Raises:
        InputError: If an option is unknown, wrong, or would be ignored.

    Example:
        >>> ranking = Ranking("relevance", form="listwise")
        >>> target = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 0.0], [torch.nan, 0.0]])
        >>> ranking.loss(torch.tensor([1.0, 0.0, 2.0, 5.0]), target)
        (tensor(1.5623), tensor(1.))
    """

    kind: ClassVar[str] = "ranking"
    labels: ClassVar[LabelKind | str] = "relevance"

    @checked
    def __init__(
        self,
        name: str,
        *,
        form: Literal["pointwise", "pairwise", "listwise"] = "pairwise",
        query: str | None = None,
        loss: Annotated[
            Annotated[str, Named("loss", ("mse", "binary_cross_entropy"))]
            | Callable[..., Any]
            | None,
            OnlyWith("form", ("pointwise",)),
        ] = None,
        weighting: Annotated[
            Literal["equal", "ndcg"] | None, OnlyWith("form", ("pairwise",))
        ] = None,
        **common: Unpack[TaskOptions],
    ) -> None:
        super().__init__(name, **common)
        self.form = form
        self.query = query
        self.loss_name = _loss_name(form, loss)
        self._of_rows = find_loss(loss or "mse")
        self._by_ndcg = weighting == "ndcg"

    def loss(
        self, raw: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        raw = at_least_float32(as_vector(raw))
        self._expect(raw, (len(target),))
        if self.form == "pointwise":
            return self._loss_of_rows(raw, self.counted(target, weights), weights)
        refuse_weights(self, weights)
        known = self.label_kind.present(target)
        raw, (relevance, lists) = raw[known], _lists(target[known])
        if self.form == "pairwise":
            losses = ranknet(raw, relevance, lists, weigh_by_ndcg=self._by_ndcg)
            return losses.sum(), raw.new_tensor(len(losses), dtype=torch.float32)
        return listnet(raw, relevance, lists).sum(), self._lists_that_count(relevance, lists)

    def count(self, target: Tensor, weights: Tensor | None = None) -> Tensor:
        if self.form == "pointwise":
            return super().count(target, weights)
        refuse_weights(self, weights)
        known = self.label_kind.present(target)
        return self._lists_that_count(*_lists(target[known]))

    def statistics(self, target: Tensor, weights: Tensor | None = None) -> LabelStatistics:
        refuse_weights(self, weights)
        return super().statistics(target, weights)

    @property
    def without_weights(self) -> str:
        """Why pairs and lists cannot have weights of rows."""
        if self.form == "pointwise":
            return ""
        return f"{COMPARED}, or choose form: pointwise"

    @property
    def uncertainty_kind(self) -> Likelihood:
        """That of regression for the squared error, whose likelihood is Gaussian."""
        return "regression" if self.loss_name == "mse" else self.label_kind.uncertainty_kind

    def groups(self, target: Tensor) -> Tensor:
        """Return the number of the query of each row (B,), -1 where it is in no list."""
        return target[:, 1].where(self.label_kind.present(target), -1)

    def decode(self, raw: Tensor) -> Prediction:
        return Prediction(as_vector(raw).double())

    def check(self, target: Tensor) -> None:
        """Check that labels are relevance and number of the query.

        Raises:
            InputError: If they have another shape, or the numbers of queries are too large for
                float32.
            RowError: If one is not valid.
        """
        if target.ndim != 2 or target.shape[1] != 2:
            raise InputError(
                f"task {self.name!r}: the labels have the shape {tuple(target.shape)}, expected "
                f"({len(target)}, 2): relevance, and number of the query whose list the row is in"
            )
        known = self.label_kind.present(target)
        relevance, query = target.unbind(dim=1)
        valid = (relevance >= 0) & (relevance < torch.inf)
        self._require(valid, known, relevance, "the relevance", "numbers from 0 on")
        whole = (query >= 0) & (query == query.floor())
        self._require(whole, known, query, "the query", "whole numbers from 0 on")
        if query.dtype == torch.float32 and bool((query[known] >= _EXACT).any()):
            raise InputError(
                f"task {self.name!r}: found query {int(query[known].max()):,}, and float32 has "
                f"the same number for several such; number the queries from 0 on, below {_EXACT:,}"
            )
        if self.loss_name == "binary_cross_entropy":
            expected = "numbers between 0 and 1 for binary_cross_entropy"
            self._require(relevance <= 1, known, relevance, "the relevance", expected)

    def learn(self, labels: LabelStatistics) -> None:
        """Check that some list has two rows.

        Raises:
            InputError: If none has.
        """
        super().learn(labels)
        if not labels.sample.complete or not labels.labelled:
            return
        lists = _lists(labels.sample.rows)[1]
        if int(torch.bincount(lists).max()) < 2:
            raise InputError(
                f"task {self.name!r}: each of the {len(lists):,} lists of the training data has "
                "one row, so there is nothing to put in order; expected several rows with the "
                "same query"
            )

    def _loss_of_rows(
        self, raw: Tensor, target: Tensor, weights: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        known = self.label_kind.present(target)
        add_up = sum_selected if self.loss_name == "custom" else sum_masked
        total, _ = add_up(self._of_rows, raw, target[:, 0].to(raw.dtype), known, weights)
        return total, self.row_weights.count(known, known, weights)

    def _lists_that_count(self, relevance: Tensor, lists: Tensor) -> Tensor:
        count = number_of_lists(lists)
        if self.form == "listwise":
            return number_of(torch.bincount(lists, minlength=count) > 1)
        low, high = (
            relevance.new_zeros(count).scatter_reduce(
                0, lists, relevance, reduction, include_self=False
            )
            for reduction in ("amin", "amax")
        )
        return number_of(low < high)

    def _require(
        self, valid: Tensor, known: Tensor, values: Tensor, what: str, expected: str
    ) -> None:
        wrong = known & ~valid
        if bool(wrong.any()):
            row = wrong.nonzero()[0, 0]
            raise RowError(
                f"task {self.name!r}: found {what} {values[row].item():g} in",
                row,
                f", expected {expected}",
            )


def _loss_name(form: str, loss: str | Callable[..., Any] | None) -> str:
    if form != "pointwise":
        return {"pairwise": "ranknet", "listwise": "listnet"}[form]
    return "custom" if callable(loss) else loss or "mse"


def _lists(target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the relevance of labelled rows, and the numbers of their lists from 0 on (n,)."""
    return target[:, 0], torch.unique(target[:, 1], return_inverse=True)[1]
