"""Labels that are one of C classes, or shares of all of them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data.inputs.base import Input
from motet.data.selection import listed, require_columns
from motet.data.targets.base import NO_INPUTS, Target, probability_columns
from motet.data.targets.shares import read_shares
from motet.data.values import EXACT, as_texts, described, is_list, refuse_infinite
from motet.problems import InputError, hint, shown

MISSING = -100
"""The class index that means "not labelled", as in PyTorch."""
MOST_CLASSES = 1000
MOST_COUNTED = 100_000
MOST_FLOATS = 100
_FEW = 20
"""Labels up to which each may be of another class."""

Value = str | int | float | bool
_Kind = Literal["text", "integer", "number", "truth"]
_TYPES = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "truth": pa.bool_()}


def _without_labels(given: int | Sequence[Value] | None) -> tuple[_Kind, tuple[Value, ...]]:
    """Return the classes of a task without labels, numbers if only their count is known."""
    if given is None:
        raise InputError(
            "found none; a latent task, which has no labels, needs them", option="classes"
        )
    if isinstance(given, int):
        return "integer", tuple(range(given))
    return "text", tuple(map(str, given or ()))


class ClassTarget(Target):
    """Class indices (N,), int64, -100 where missing; or soft labels (N, C), NaN where missing.

    Classes keep the type they have in the data, and predictions have the same type: texts, whole
    numbers (also those a frame with missing values stores as 3.0), truth values, numbers. Labels
    are compared by how they are spelt, so that 3, 3.0 and "3" are one class. Soft labels are lists
    of C shares that add up to 1.

    Args:
        name: The task's name.
        column: Column to read; the task's name if left out.
        classes: The classes in order, or how many there are; the values found in training, sorted,
            if left out. Whole numbers with a count C are the classes 0 to C - 1.
        latent: Whether there are no labels, only predictions.

    Example:
        >>> churn = ClassTarget("churn")
        >>> churn.fit(pa.table({"churn": ["yes", "no", None, "yes"]}))
        >>> churn.names
        ('no', 'yes')
        >>> churn.encode(pa.table({"churn": ["yes", "perhaps", None]}))
        array([   1, -100, -100])
        >>> churn.unseen(pa.table({"churn": ["yes", "perhaps", None]}))
        {'perhaps': 1}
    """

    distinct = True
    ordered: ClassVar[bool] = False
    """Whether the classes have an order, which texts do not show."""

    def __init__(
        self,
        name: str,
        *,
        column: str | None = None,
        classes: int | Sequence[Value] | None = None,
        latent: bool = False,
    ) -> None:
        super().__init__(name, column=column)
        self._latent = latent
        self._given = classes
        self._kind: _Kind = "text"
        self._soft = False
        self.values: tuple[Value, ...] = ()
        """The classes, in their own type."""

    @classmethod
    def for_task(cls, name: str, options: Mapping[str, Any], accepted: Collection[str]) -> Self:
        latent = bool(options.get("latent"))
        given = {option: options.get(option) for option in ("column", "classes")}
        return cls(name, **given, latent=latent)

    @classmethod
    def has_strata(cls, table: pa.Table, column: str) -> bool:
        return not is_list(table[column].type)

    @property
    def names(self) -> tuple[str, ...]:
        """How the classes are spelt, in order."""
        return tuple(as_texts(self._typed_values(), self._where).to_pylist())

    def columns(self, available: Sequence[str]) -> tuple[str, ...]:
        return () if self._latent else super().columns(available)

    def fit(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> None:
        if self._latent:
            self._kind, self.values = _without_labels(self._given)
            return
        column = self._labels(table)
        labels = column.drop_null()
        if not len(labels):
            raise InputError(
                f"{self._where} has no label in the {len(column):,} training rows; check it, or "
                "remove the task"
            )
        self._soft = is_list(column.type)
        if self._soft:
            self._fit_soft(column)
        else:
            if pa.types.is_floating(column.type):
                refuse_infinite(column.to_numpy(), self._where)
            self._kind = self._kind_of(labels)
            distinct = labels.unique()
            self.values = self._chosen(distinct)
            self._check_classes(distinct, len(labels))

    def encode(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> NDArray[Any]:
        column = self._labels(table)
        if self._soft:
            return read_shares(column, self._where, len(self.values))
        places = pc.index_in(as_texts(column, self._where), pa.array(self.names))
        encoded: NDArray[np.int64] = pc.fill_null(places.cast(pa.int64()), MISSING).to_numpy()
        return encoded

    def unseen(self, table: pa.Table) -> dict[Any, int]:
        if self._soft or self._latent:
            return {}
        column = self._labels(table)
        known = pc.is_in(as_texts(column, self._where), pa.array(self.names))
        counts = column.filter(pc.invert(known)).drop_null().value_counts()
        return {each["values"]: each["counts"] for each in counts.to_pylist()}

    def predictions(
        self,
        value: NDArray[Any],
        probabilities: NDArray[Any] | None = None,
        table: pa.Table | None = None,
        inputs: Mapping[str, Input] = NO_INPUTS,
    ) -> dict[str, pa.Array]:
        classes = self._typed_values().take(pa.array(value.astype(np.int64)))
        return {
            self.name: classes.combine_chunks(),
            **probability_columns(self.name, self.names, probabilities),
        }

    def learned(self) -> dict[str, Any]:
        return {"classes": self.names}

    def class_counts(self, encoded: NDArray[Any]) -> list[int]:
        """Count the labels of each class; soft labels only if each is of one class."""
        if not self._soft:
            return count_places(encoded, len(self.values))
        if not np.isin(encoded[~np.isnan(encoded)], (0, 1)).all():
            return []
        return [int(count) for count in (encoded == 1).sum(axis=0)]

    def only_class(self, encoded: NDArray[Any]) -> str | None:
        if self._soft:
            return None
        found = np.unique(encoded[encoded != MISSING])
        return self.names[found[0]] if len(found) == 1 else None

    @property
    def every_class_scores(self) -> bool:
        """True for two classes; more are scored by accuracy, which a rare class hardly changes."""
        return len(self.values) == 2

    def state(self) -> dict[str, Any]:
        return {
            "column": self.column,
            "kind": self._kind,
            "soft": self._soft,
            "classes": list(self.values),
            **({"latent": True} if self._latent else {}),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.column, self._kind, self._soft = state["column"], state["kind"], state["soft"]
        self.values = tuple(state["classes"])
        self._latent = state.get("latent", False)

    # Reading -------------------------------------------------------------------------------------

    def _labels(self, table: pa.Table) -> pa.ChunkedArray:
        require_columns(table, [self.column], f"task {self.name!r}")
        column = table[self.column]
        if self.ordered and is_list(column.type):
            raise InputError(
                f"{self._where} holds {described(column.type)}, expected one class per row"
            )
        return column

    def _typed_values(self) -> pa.ChunkedArray:
        return pa.chunked_array([pa.array(self.values, _TYPES[self._kind])])

    def _kind_of(self, labels: pa.ChunkedArray) -> _Kind:
        kind = labels.type
        if pa.types.is_boolean(kind):
            return "truth"
        if pa.types.is_string(kind):
            return "text"
        if pa.types.is_integer(kind):
            return "integer"
        if not pa.types.is_floating(kind):
            raise InputError(
                f"{self._where} holds {described(kind)}, expected classes: texts, whole numbers or "
                "truth values"
            )
        whole = pc.and_(pc.equal(pc.floor(labels), labels), pc.less(pc.abs(labels), EXACT))
        return "integer" if pc.all(whole).as_py() else "number"

    def _chosen(self, distinct: pa.ChunkedArray) -> tuple[Value, ...]:
        if isinstance(self._given, int) and self._kind == "integer":
            return self._counted(self._given)
        if self._given is None or isinstance(self._given, int):
            values = self._sorted(distinct.to_pylist())
            return (
                tuple(int(value) for value in values) if self._kind == "integer" else tuple(values)
            )
        return self._listed(self._given)

    def _sorted(self, values: list[Any]) -> list[Any]:
        if not self.ordered or self._kind != "text":
            return sorted(values)
        try:
            return sorted(values, key=float)  # "10" comes after "9"
        except ValueError:
            raise InputError(
                f"{self._where} holds texts ({listed(sorted(values))}), whose order is not known; "
                "list them from the lowest to the highest",
                option="classes",
            ) from None

    def _counted(self, classes: int) -> tuple[int, ...]:
        if classes > MOST_COUNTED:  # each has a column in the predictions
            raise InputError(
                f"found {classes:,}, expected at most {MOST_COUNTED:,}", option="classes"
            )
        return tuple(range(classes))

    def _listed(self, given: Sequence[Value]) -> tuple[Value, ...]:
        values = tuple(self._own_type(value) for value in given)
        if len(set(values)) < len(values):
            twice = next(value for value in values if values.count(value) > 1)
            raise InputError(f"found {shown(twice)} twice; keep one", option="classes")
        return values

    def _own_type(self, value: Value) -> Value:
        # a config may spell a class as a text
        text = str(value).lower() if isinstance(value, bool) else str(value)
        try:
            if self._kind == "truth":
                return {"true": True, "false": False}[text.lower()]
            return int(text) if self._kind == "integer" else self._other_type(text)
        except (KeyError, ValueError):
            raise InputError(
                f"{self._where} holds {described(_TYPES[self._kind])}, but classes names "
                f"{shown(value)}; correct classes, or leave it out to learn them from the data"
            ) from None

    def _other_type(self, text: str) -> Value:
        return float(text) if self._kind == "number" else text

    # Checks --------------------------------------------------------------------------------------

    def _check_classes(self, distinct: pa.ChunkedArray, labels: int) -> None:
        found = len(distinct)
        if self._given is None:
            self._refuse_many(found)
            self._refuse_own_class(found, labels)
        if isinstance(self._given, int) and self._kind != "integer" and found != self._given:
            raise InputError(
                f"{self._where} has {found:,} classes ({listed(self.values)}), expected "
                f"{self._given} in the training rows; list them in classes, correct it or remove it"
            )
        texts = as_texts(distinct, self._where).to_pylist()
        strange = sorted(set(texts) - set(self.names))
        if strange:
            near = hint(strange[0], self.names[:20])
            raise InputError(
                f"{self._where} has {listed(map(repr, strange))}, which classes does not name "
                f"({near}); correct the labels, or remove classes to learn them from the data"
            )
        if found < 2:
            raise InputError(
                f"{self._where} is {shown(texts[0])} in every labelled training row, expected at "
                "least two classes; check the column, or remove the task"
            )

    def _refuse_many(self, found: int) -> None:
        if self._kind == "number" and found > MOST_FLOATS:
            raise InputError(
                f"{self._where}: a number with {found:,} distinct values is not a class; use "
                "type: regression"
            )
        if found > MOST_CLASSES:
            other = "" if self._kind == "text" else "use type: regression, or "
            raise InputError(
                f"{self._where} has {found:,} distinct values, expected at most {MOST_CLASSES:,} "
                f"classes; {other}list them in classes if they are right"
            )

    def _refuse_own_class(self, found: int, labels: int) -> None:
        """Refuse labels of which no two rows have the same: no class could be learned."""
        if found == labels > _FEW:
            instead = "choose another column" if self._kind == "text" else "use type: regression"
            raise InputError(
                f"{self._where} has another value in each of {labels:,} labelled training rows, "
                f"expected classes that several rows have; {instead}"
            )

    # Soft labels ---------------------------------------------------------------------------------

    def _fit_soft(self, column: pa.ChunkedArray) -> None:
        width = read_shares(column, self._where).shape[1]
        given: tuple[Value, ...] = tuple(range(width))
        if isinstance(self._given, int):
            given = self._counted(self._given)
        elif self._given is not None:
            given = tuple(str(value) for value in self._given)
        if len(given) != width:
            raise InputError(
                f"{self._where} has lists of {width} shares, but classes has {len(given)}; "
                "expected one share per class"
            )
        if width < 2:
            raise InputError(f"{self._where} has lists of one share, expected at least two classes")
        self._kind = "text" if isinstance(given[0], str) else "integer"
        self.values = given


def count_places(encoded: NDArray[Any], classes: int) -> list[int]:
    """Count each place of classes or tags among encoded labels, -100 where missing."""
    return [int(count) for count in np.bincount(encoded[encoded != MISSING], minlength=classes)]
