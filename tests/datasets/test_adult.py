"""The bundled data sets are small, plain and documented."""

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from motet import datasets
from motet.registry import DATASETS


@pytest.mark.parametrize("name", list(DATASETS))
def test_a_bundled_file_is_small_plain_and_has_its_licence_told(name):
    path = DATASETS[name]()
    assert path.stat().st_size < 1_000_000
    assert not pq.read_schema(path).metadata
    licences = (Path(datasets.__file__).parent / "LICENCES.md").read_text(encoding="utf-8")
    assert path.name in licences
    assert DATASETS[name].__doc__


def test_adult_has_the_rows_and_rates_of_uci():
    table = pq.read_table(datasets.adult())
    assert Counter(table["split"].to_pylist()) == {"train": 32_561, "test": 16_281}
    assert Counter(table["income"].to_pylist())[">50K"] == 3_846 + 7_841
    never = Counter(table["never_married"].to_pylist())
    assert set(never) == {"yes", "no"}
    assert never["yes"] / len(table) == pytest.approx(0.33, abs=0.005)


def test_adult_has_nothing_that_gives_a_task_away():
    names = pq.read_schema(datasets.adult()).names
    assert not {"marital_status", "relationship", "fnlwgt"} & set(names)
