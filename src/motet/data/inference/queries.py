"""Which column names the query of each row, whose rows a ranking puts in order."""

import re
from collections.abc import Collection

import pyarrow as pa

from motet.data.inference.groups import infer_group
from motet.data.inference.guesses import Guess, count_distinct, distinct_things
from motet.problems import InputError

_NAMED_SO = re.compile(
    r"(?i)^(q|query|qry|search|srch|session|request|impression|list)([\s_.-]?id)?$"
)


def with_query(guess: Guess, table: pa.Table, asked: str | None, targets: Collection[str]) -> Guess:
    """Return the guess of a ranking with the column of its queries.

    Args:
        guess: What was guessed about the relevance.
        table: The rows.
        asked: The column that the user named, if one.
        targets: Columns to predict, which name no queries.

    Raises:
        InputError: If no column is named and none is found.
    """
    found = Guess(asked, None, "as asked") if asked else _infer_query(table, targets)
    if found is None:
        raise InputError(
            f"targets: {guess.column}:ranking needs the column that names the query of each row, "
            f"and found none called query, qid, session_id or the like; give it after another "
            f"colon: {guess.column}:ranking:COLUMN"
        )
    reason = f"{guess.reason}; lists by {found.column!r} ({found.reason})"
    return Guess(guess.column, guess.type, reason, {**guess.options, "query": found.column})


def _infer_query(table: pa.Table, targets: Collection[str]) -> Guess | None:
    """Find the first column that is called so and has values that repeat, else any groups."""
    for name in table.column_names:
        if name in targets or not _NAMED_SO.search(name):
            continue
        column = table[name].drop_null()
        distinct = count_distinct(column)
        if 1 < distinct < len(column):
            return Guess(
                name, None, f"{distinct_things(distinct, 'value')} in {len(column):,} rows"
            )
    return infer_group(table, exclude=targets)
