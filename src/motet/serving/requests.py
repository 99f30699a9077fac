"""The request of predictions: JSON of a client to a typed table, with every problem reported."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, final

import pyarrow as pa
from pydantic_core import from_json

from motet.problems import hint, shown
from motet.run import Run
from motet.serving.columns import Column, columns_of
from motet.serving.kinds import Unfit
from motet.serving.limits import Limits
from motet.serving.refusals import SHOWN, Problem, Refused


class Asked(NamedTuple):
    """What a request asks for; those that ask for the same are joined."""

    tasks: tuple[str, ...] | None
    intervals: float | None = None
    spread: bool = False


class Rows(NamedTuple):
    """Rows of a request."""

    table: pa.Table
    asked: Asked


_KEYS = ("rows", "tasks", "intervals", "spread")


@final
class RequestModel:
    """The type of the requests that a run takes.

    Args:
        run: The run.
        limits: The limits of the server.
    """

    def __init__(self, run: Run, limits: Limits) -> None:
        preprocessing = run.reader.preprocessing
        self.columns = columns_of(preprocessing)
        self._tasks = tuple(run.model.labelled_tasks)
        self._limits = limits
        self._several = bool(preprocessing.sources)

    def read(self, body: bytes) -> Rows:
        """Read the body of a request.

        Returns:
            The rows, and what the request asks for.

        Raises:
            Refused: With 400 if it is not JSON, 413 if there are too many rows, and else 422.
        """
        try:
            content = from_json(body, allow_inf_nan=False)
        except ValueError as error:
            raise Refused(400, f"the body is not JSON: {error}") from None
        if type(content) is not dict:
            raise Refused(422, f"found {shown(content)}; expected an object with rows")
        rows = content.get("rows")
        if type(rows) is list and len(rows) > self._limits.rows:
            raise Refused(
                413,
                f"rows: found {len(rows):,}; expected at most {self._limits.rows:,} in a request",
            )
        problems = list(self._problems(content))
        if problems:
            raise Refused(422, [{"message": each} for each in problems])
        tasks = content.get("tasks")
        level = content.get("intervals")
        asked = Asked(
            None if tasks is None else tuple(dict.fromkeys(tasks)),
            None if level is None else float(level),
            bool(content.get("spread")),
        )
        return Rows(self._table(content["rows"]), asked)

    def _problems(self, content: Mapping[str, Any]) -> Iterator[str]:
        for key in list(content)[: len(_KEYS) + 1]:
            if key not in _KEYS:
                yield f"found the key {shown(key)}; {hint(key[:60], _KEYS)}"
        rows, tasks = content.get("rows"), content.get("tasks")
        level, spread = content.get("intervals"), content.get("spread")
        if type(rows) is not list or not rows:
            yield f"rows: found {shown(rows)}; expected a list of one row or more"
        if tasks is not None:
            if type(tasks) is not list or not tasks or set(map(type, tasks)) != {str}:
                yield f"tasks: found {shown(tasks)}; expected a list of names, or null for all"
            else:
                unknown = next((each for each in tasks if each not in self._tasks), None)
                if unknown is not None:
                    near = hint(unknown[:60], self._tasks)
                    yield f"tasks: found {shown(unknown)}; {near}"
        if level is not None and not (type(level) in (int, float) and 0 < level < 1):
            yield f"intervals: found {shown(level)}; expected a number between 0 and 1, or null"
        if spread is not None and type(spread) is not bool:
            yield f"spread: found {shown(spread)}; expected true, false or null"

    def _table(self, rows: Sequence[Any]) -> pa.Table:
        names = self._names(rows)
        found: dict[str, pa.Array] = {}
        problems: list[Problem] = []
        for name in names:
            column = self.columns[name]
            values = [row[name] for row in rows]
            try:
                found[name] = column.kind.read(values)
            except Unfit as error:
                problems.append(_problem(column, error, values))
        if problems:
            problems.sort(key=lambda each: int(each["row"]))
            raise Refused(422, problems)
        return pa.table(found)

    def _names(self, rows: Sequence[Any]) -> list[str]:
        """Return the columns that all rows have.

        Raises:
            Refused: If a row is no object, has others, or lacks some.
        """
        expected = set(self.columns)
        if self._several and type(rows[0]) is dict:
            expected &= rows[0].keys()
        problems: list[Problem] = []
        for number, row in enumerate(rows):
            if type(row) is not dict:
                message = f"row {number:,}: found {shown(row)}; expected an object"
                problems.append({"row": number, "message": message})
            elif row.keys() != expected:
                problems += self._wrong_names(number, row, expected)
            if len(problems) > SHOWN:
                break
        if problems or not expected:
            nothing: Problem = {"row": 0, "message": "row 0: found no column that the run reads"}
            raise Refused(422, problems or [nothing])
        return [name for name in self.columns if name in expected]

    def _wrong_names(self, number: int, row: Mapping[str, Any], expected: Any) -> Iterator[Problem]:
        for name in [each for each in self.columns if each in expected and each not in row]:
            column = self.columns[name]
            yield {
                **_place(number, column),
                "message": f"row {number:,}, input {column.input!r}: column {name!r} is not there; "
                "expected it in every row, null where it is missing",
            }
        for name in [each for each in row if each not in expected][:SHOWN]:
            if name in self.columns:  # in other rows of several sources
                message = "is not in row 0; expected the same columns in every row"
            else:
                message = f"is not an input; {hint(name[:60], self.columns)}"
            text = f"row {number:,}: column {shown(name)} {message}"
            yield {"row": number, "column": name[:200], "message": text}

    # OpenAPI -------------------------------------------------------------------------------------

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of a request."""
        properties = {
            name: {
                "description": f"Input {each.input}: {each.kind.expected}.",
                "anyOf": [dict(each.kind.json), {"type": "null"}],
            }
            for name, each in self.columns.items()
        }
        row: dict[str, Any] = {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
        }
        if not self._several:
            row["required"] = list(properties)
        tasks = {"type": "array", "items": {"enum": list(self._tasks)}, "minItems": 1}
        level = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
        return {
            "title": "Rows to predict",
            "type": "object",
            "properties": {
                "rows": {
                    "type": "array",
                    "items": row,
                    "minItems": 1,
                    "description": f"At most {self._limits.rows:,} rows (413).",
                },
                "tasks": {"anyOf": [tasks, {"type": "null"}], "description": "All if left out."},
                "intervals": {
                    "anyOf": [level, {"type": "null"}],
                    "description": "Share of rows, such as 0.9, whose truth is in the intervals "
                    "and sets that are added; the run must be calibrated.",
                },
                "spread": {
                    "type": ["boolean", "null"],
                    "description": "Whether to add how far the members of an ensemble are apart.",
                },
            },
            "required": ["rows"],
            "additionalProperties": False,
        }


def _place(row: int, column: Column) -> Problem:
    return {"row": row, "input": column.input, "column": column.name}


def _problem(column: Column, error: Unfit, values: Sequence[Any]) -> Problem:
    found = error.found or shown(values[error.row])
    named = "" if column.name == column.input else f", column {column.name!r}"
    return {
        **_place(error.row, column),
        "message": f"row {error.row:,}, input {column.input!r}{named}: found {found}; expected "
        f"{column.kind.expected}",
    }
