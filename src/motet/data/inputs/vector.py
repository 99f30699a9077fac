"""A precomputed vector per row: an embedding, a profile, a block of columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, final

import numpy as np

from motet.data.inputs.base import FILLED, LACKING, Input, Rows, with_indicator
from motet.data.inputs.moments import Moments
from motet.data.inputs.samples import LARGEST, Sample
from motet.data.inputs.scaled import AUTO, Scaled, needs_sample
from motet.data.inputs.scaling import standardise
from motet.data.inputs.shapes import BranchShape, NumberColumn, TableShape
from motet.data.notes import Notes
from motet.data.selection import column_of, matching, require_columns
from motet.data.values import Floats, as_floats, as_matrix, refuse_infinite
from motet.options import Chosen, Mapping, OnlyWith, PositiveInt, checked
from motet.problems import InputError

_WIDEST = 1_000_000
"""Numbers of a vector, each of which is named when a model is made without data."""
_WIDEST_AUTO = 64
"""Components above which bins would be too many, and each is standardised."""
_SAMPLED = 1 << 26
"""Numbers of all vectors of a sample: half a gigabyte."""


@dataclass
class _Seen:
    """What was observed of the training rows."""

    moments: Moments | None = None
    sample: Sample | None = None
    rows: int = 0
    lacking: bool = False


@final
class Vector(Input):
    """A vector per row: one column of lists of one length, or several columns of numbers.

    Each component is scaled by itself, as a number is. Missing components become 0 after that; if
    there were any in training, a further column marks the rows that lack some.

    Args:
        name: The input's name.
        column: Column of lists to read; the input's name if left out.
        columns: Columns of numbers to read instead: a pattern such as "clip_*", or their names.
            Their order is that of the training rows, also for later data.
        width: Number of components; learned from the training rows if left out.
        scaling: How the network receives each component. auto: as suits a number, but standard for
            more than 64 components and for a vector with an encoder, which are embeddings mostly.
            standard: shifted and scaled to mean 0 and standard deviation 1. piecewise: its place
            among knots, which an encoder spreads over one column per bin. quantile: its rank among
            the training values as a normal score.
        bins: Maximum number of bins, at most 64 if left out. With auto, it chooses piecewise.
        transform: Whether each component becomes its logarithm first: none, log or auto, as for a
            number.
        encoder: Encoder of the vector alone, so that it is a modality of its own, which rows may
            lack; part of the table if left out.

    Raises:
        InputError: If an option is unknown or wrong, or both column and columns are given.

    Example:
        >>> clip = Vector("clip", columns="clip_*")
        >>> import pyarrow as pa
        >>> clip.observe(pa.table({"clip_a": [0.0, 2.0], "clip_b": [5.0, 5.0]}))
        >>> clip.finish()
        >>> clip.apply(pa.table({"clip_b": [6.0], "clip_a": [1.0]}))[0]["numbers"]
        array([[0., 0.]], dtype=float32)
    """

    @checked
    def __init__(
        self,
        name: str,
        *,
        column: str | None = None,
        columns: str | Sequence[str] | None = None,
        width: PositiveInt | None = None,
        scaling: Literal["auto", "standard", "quantile", "piecewise"] = "auto",
        bins: Annotated[PositiveInt | None, OnlyWith("scaling", ("piecewise", "auto"))] = None,
        transform: Literal["none", "log", "auto"] | None = None,
        encoder: Annotated[Mapping[str, Any] | str, Chosen("encoder", default="mlp")] | None = None,
    ) -> None:
        if column is not None and columns is not None:
            raise InputError(
                "found column too, expected one of them: column for lists of numbers, columns for "
                "a number in each",
                option="columns",
                owner=f"input {name!r}",
            )
        self.name = name
        self._wanted = columns
        self._width = width
        self._names: tuple[str, ...] = (column or name,) if columns is None else ()
        # of several columns known once rows were observed
        self._scaling: str = scaling
        self._bins, self._transform = bins, transform
        self._scaled: list[Scaled] = []
        self._missing = False
        self._branch = encoder is not None
        self._seen = _Seen()

    def columns(self, available: Sequence[str]) -> tuple[str, ...]:
        if self._names or self._wanted is None:
            return self._names
        return matching(self._wanted, available, f"input {self.name!r}")

    def observe(self, rows: Rows) -> None:
        seen = self._seen
        if self._wanted is not None and not seen.rows:
            self._names = matching(self._wanted, rows.column_names, f"input {self.name!r}")
        values = self._values(rows, None if seen.moments is None else len(seen.moments.mean))
        seen.rows += len(values)
        if not values.size:  # all lists are missing, so that their length is unknown
            seen.lacking |= not self._branch
            return
        if self._width not in (None, values.shape[1]):
            raise InputError(
                f"found {self._width}, but {self._where} has {values.shape[1]} numbers per row; "
                "correct width, or leave it out",
                option="width",
            )
        if self._scaling == AUTO and (self._branch or values.shape[1] > _WIDEST_AUTO):
            self._scaling = "standard" if self._bins is None else "piecewise"
        found = Moments.of(values)
        seen.moments = found if seen.moments is None else seen.moments + found
        if needs_sample(self._scaling, self._transform):
            if seen.sample is None:
                seen.sample = Sample(min(LARGEST, _SAMPLED // values.shape[1]))
            seen.sample.add(values, seen.rows - len(values) + np.arange(len(values)))
        if self._branch:  # a row without any component lacks the modality
            values = values[~np.isnan(values).all(axis=1)]
        seen.lacking |= bool((found.count < len(values)).any())

    def finish(self) -> None:
        seen, self._seen = self._seen, _Seen()
        counts = np.zeros(1) if seen.moments is None else seen.moments.count
        if seen.moments is None or not counts.all():
            which = (
                f"no value in component {(counts == 0).argmax()}" if counts.any() else "no value"
            )
            raise InputError(
                f"{self._where} has {which} in the {seen.rows:,} training rows; remove it"
            )
        self._missing = seen.lacking
        options = self._scaling, self._transform, self._bins
        if seen.sample is None:
            parts = [seen.moments.component(place) for place in range(len(counts))]
            self._scaled = [Scaled.learn(each, *options)[0] for each in parts]
            return
        columns = seen.sample.values().astype(np.float64, copy=False).T
        empty = [place for place, each in enumerate(columns) if np.isnan(each).all()]
        if empty:
            raise InputError(
                f"{self._where} has a value in component {empty[0]} in so few of the "
                f"{seen.rows:,} training rows that a sample has none; remove the component, or use "
                "scaling: standard",
                option="scaling",
            )
        learned = [Scaled.learn(each[~np.isnan(each)], *options) for each in columns]
        self._scaled = [each for each, _ in learned]
        self.notes = seen.sample.notes(f"input {self.name!r}") + self._logarithms(learned)

    def _logarithms(self, learned: Sequence[tuple[Scaled, str]]) -> tuple[str, ...]:
        chosen = [(place, reason) for place, (_, reason) in enumerate(learned) if reason]
        if not chosen:
            return ()
        place, reason = chosen[0]
        many = f"{len(chosen):,} of {len(learned):,} components" if len(chosen) > 1 else "it"
        return (
            f"input {self.name!r}: of component {place}, {reason}, so the logarithm of {many} is "
            "used",
        )

    def apply(self, rows: Rows) -> tuple[dict[str, Any], Notes]:
        values = self._values(rows, width=len(self._scaled))
        scaled = self._scaled_of(values)
        missing = np.asarray(np.isnan(values).any(axis=1))
        lacking = np.asarray(np.isnan(values).all(axis=1)) & self._branch
        missing &= ~lacking
        found = with_indicator(scaled, missing if self._missing else None)
        filled = 0 if self._missing else int(missing.sum())
        notes = Notes(len(rows), {FILLED: filled, LACKING: int(lacking.sum())})
        if self._branch:
            return {"values": found, "present": ~lacking}, notes
        return {"numbers": found}, notes

    def _scaled_of(self, values: Floats) -> Floats:
        """Scale components (N, D), at once where that is a shift and a factor each."""
        moments = self._moments()
        if moments is not None:
            return standardise(values, *map(np.array, moments.values()))
        found = np.empty(values.shape)
        for place, each in enumerate(self._scaled):
            found[:, place] = each.apply(values[:, place].astype(np.float64, copy=False))[:, 0]
        return found

    def _moments(self) -> dict[str, list[float]] | None:
        """Return means and standard deviations, if they are all that was learned."""
        if not all(each.scaling == "standard" and each.log is None for each in self._scaled):
            return None
        return {name: [each.fitted[name] for each in self._scaled] for name in ("mean", "std")}

    def shape(self) -> TableShape | BranchShape:
        names = self._names
        if self._wanted is None:
            names = tuple(f"{self.name}_{place}" for place in range(len(self._scaled)))
        mark = (NumberColumn(f"{self.name}_missing", marks=len(names)),) if self._missing else ()
        bins = (each.expansion() for each in self._scaled)
        return self._shaped(TableShape((*map(NumberColumn, names, bins), *mark)))

    def _shaped(self, table: TableShape) -> TableShape | BranchShape:
        """Return the shape of the columns, or that of a branch that reads them."""
        if not self._branch:
            return table
        bins = ((), table.expansions) if any(table.expansions) else ()
        return BranchShape("vector", (len(table.numbers), *bins))

    def declared(self) -> TableShape | BranchShape:
        if self._bins is not None or self._transform not in (None, "none"):
            option = "transform" if self._bins is None else "bins"
            raise InputError(
                f"{option} is learned from training values and not supported without data; remove "
                "it, and the components are used as they are",
                option=option,
                owner=f"input {self.name!r}",
            )
        if self._width is None:
            raise InputError(
                "the number of components is unknown without data; give it, for example width: 512",
                option="width",
                owner=f"input {self.name!r}",
            )
        if self._width > _WIDEST:
            raise InputError(
                f"found {self._width:,}; it does not fit into the memory; expected at most "
                f"{_WIDEST:,}",
                option="width",
                owner=f"input {self.name!r}",
            )
        names = (f"{self.name}_{place}" for place in range(self._width))
        return self._shaped(TableShape(tuple(map(NumberColumn, names))))

    def state(self) -> dict[str, Any]:
        return {
            "columns": list(self._names),
            "lists": self._wanted is None,
            **(self._moments() or {"scaled": [each.state() for each in self._scaled]}),
            "missing": self._missing,
            **({"branch": True} if self._branch else {}),
        }

    def load(self, state: dict[str, Any]) -> None:
        self._names = tuple(state["columns"])
        self._wanted = None if state["lists"] else self._names
        if "scaled" in state:
            self._scaled = [Scaled.load(each) for each in state["scaled"]]
        else:
            both = zip(state["mean"], state["std"], strict=True)
            self._scaled = [Scaled("standard", {"mean": mean, "std": std}) for mean, std in both]
        self._missing, self._branch = state["missing"], state.get("branch", False)

    def _values(self, rows: Rows, width: int | None) -> Floats:
        where = f"input {self.name!r}"
        require_columns(rows, self._names, where)
        columns = [column_of(rows, name, where) for name in self._names]
        values: Floats
        if self._wanted is None:
            values = as_matrix(columns[0], self._where, width)
        else:
            named = zip(columns, self._names, strict=True)
            values = np.column_stack(
                [as_floats(column, f"{where}: column {name!r}") for column, name in named]
            )
        refuse_infinite(values, self._where)
        return values

    @property
    def _where(self) -> str:
        if self._wanted is None:
            return f"column {self._names[0]!r}"
        return "the vector"
