"""Your own source: rows from a database, chosen by name in a config.

`Sqlite` reads a table of an SQLite file with Python's standard library. Its keyword arguments are
its options in the config, and `path` is relative to the config file. A run that was stopped after
three epochs resumes from the same source. Prints the score of the finished run, and whether the
resumed run has the same weights as one without a break.
"""

import contextlib
import sqlite3
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, final

import numpy as np
import pyarrow as pa

import motet
from motet.data.sources import Source, as_table
from motet.options import Place, checked

CONFIG = """
data: {sources: {shop: {type: sqlite, path: shop.db, table: customers}}}
tasks: {churn: classification, spend: regression}
training: {epochs: 6, batch_size: 64, optimizer: {learning_rate: 5.0e-3}}
"""


@final
class Sqlite(Source):
    """A table of an SQLite database.

    Args:
        path: The database file.
        table: Name of the table, or a query in parentheses.
    """

    @checked
    def __init__(self, *, path: Annotated[str, Place()], table: str) -> None:
        self._path, self._table = path, table

    def read(self, strings: Collection[str] = ()) -> pa.Table:
        with contextlib.closing(sqlite3.connect(self._path)) as database:
            found = database.execute(f"SELECT * FROM {self._table}")
            names = [column[0] for column in found.description]
            columns = zip(*found.fetchall(), strict=True)
        return as_table(dict(zip(names, columns, strict=True)), strings)


def write_database(path: Path) -> None:
    """Write 600 customers, a third of them without a known spend."""
    rng = np.random.default_rng(0)
    age, visits = rng.uniform(18, 80, 600), rng.poisson(5, 600)
    churn = np.where(age - 6 * visits + rng.normal(size=600) > 20, "yes", "no")
    spend = 10 * visits + rng.normal(size=600)
    rows = [
        (float(a), int(v), str(c), None if row % 3 == 0 else float(s))
        for row, (a, v, c, s) in enumerate(zip(age, visits, churn, spend, strict=True))
    ]
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE customers (age REAL, visits INTEGER, churn TEXT, spend REAL)"
        )
        database.executemany("INSERT INTO customers VALUES (?, ?, ?, ?)", rows)


def main() -> None:
    """Train from the database, stop, resume, and predict."""
    motet.register("source", "sqlite", Sqlite)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        write_database(path / "shop.db")
        (path / "config.yaml").write_text(CONFIG, encoding="utf-8")
        whole = motet.train(path / "config.yaml", output=path / "whole")

        def stop(line: str) -> None:
            if line.startswith("epoch") and " 3/6 " in line:
                raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt):
            motet.train(path / "config.yaml", output=path / "stopped", say=stop)
        run = motet.resume(path / "stopped")
        weights = [each.model.state_dict() for each in (whole, run)]
        same = all(bool((weights[0][name] == weights[1][name]).all()) for name in weights[0])
        report = run.evaluate(Sqlite(path=str(path / "shop.db"), table="customers"), split="test")
        print("score:", round(report["score"], 3))
        print("resumed run equals the whole one:", same)
        print("first row:", run.predict(Sqlite(path=f"{path}/shop.db", table="customers"))[0][0])


if __name__ == "__main__":
    main()
