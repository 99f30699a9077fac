"""The worked projects on images: their configs train on the rows that their scripts make."""

import runpy
from pathlib import Path

import pytest

import motet
from motet import config as configs

pytest.importorskip("PIL.Image")
pytest.importorskip("sklearn")

EXAMPLES = Path(__file__).parent.parent / "examples"
SHORT = ["training.epochs=1", "training.batch_size=64"]


def test_the_project_of_pairs_trains_both_tasks_on_pictures_of_two_digits(tmp_path):
    project = runpy.run_path(str(EXAMPLES / "digit_pairs.py"))
    few = {"train": (1200, 60), "validation": (200, 20), "test": (397, 20)}
    project["pairs"].__globals__["PAIRS"].update(few)
    rows = project["pairs"]()
    run = motet.train(project["CONFIG"], data=rows, overrides=SHORT, output=tmp_path / "run")
    report = run.evaluate(rows, split="test")
    assert [report[task]["count"] for task in ("left", "right")] == [20, 20]


def test_the_project_of_digits_reads_files_beside_its_table(tmp_path):
    project = runpy.run_path(str(EXAMPLES / "digits_cnn.py"))
    rows = project["write_digits"](tmp_path)
    lines = rows.read_text().splitlines()
    kept = [lines[0], *lines[1:61], *lines[901:921], *lines[1101:1121]]
    rows.write_text("\n".join(kept) + "\n")
    config = {**project["CONFIG"], "data": {**project["CONFIG"]["data"], "source": str(rows)}}
    run = motet.train(config, overrides=SHORT, output=tmp_path / "run")
    assert run.evaluate(rows, split="test")["parity"]["count"] == 20


def test_the_project_of_segmentation_trains_on_labels_of_pixels(tmp_path):
    project = runpy.run_path(str(EXAMPLES / "digits_segmentation.py"))
    rows = project["canvases"](60, 20, 20)
    project["CONFIG"]["training"].update({"epochs": 1, "batch_size": 20})
    found = project["scores"](["digit", "distance"], rows, 0, tmp_path / "run")
    assert 0 < found["digit"] < 1
    assert 0 < found["distance"] < 10


@pytest.mark.parametrize(
    "name", ["digit_pairs.yaml", "digits_cnn.yaml", "digits_segmentation.yaml"]
)
def test_a_config_of_a_project_is_read_as_it_is(name):
    assert configs.read(EXAMPLES / name)[0].tasks
