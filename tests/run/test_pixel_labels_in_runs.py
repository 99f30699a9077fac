"""Labels of pixels in whole runs: from files, resumed, streamed, folds, with other tasks."""

import shutil
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import motet
from motet.config import ConfigError
from motet.run import check
from tests.run.image_rows import config_of, resumes_exactly, resumes_exactly_from_a_stream

PIL = pytest.importorskip("PIL.Image")

CONFIG = {
    "inputs": {
        "scan": {
            "type": "image",
            "encoder": {"type": "cnn", "widths": [8, 8], "blocks": 1, "stride": 2},
            "augmentation": {"horizontal_flip": 0.5, "random_crop": 1},
        }
    },
    "tasks": {
        "mask": {"type": "segmentation", "ignore_index": 255},
        "depth": {"type": "pixel_regression", "unit": 0.001, "missing": 0},
        "bright": "classification",
    },
    "training": {
        "epochs": 3,
        "batch_size": 16,
        "optimizer": {"learning_rate": 0.02},
        "device": "cpu",
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images, masks and depths in millimetres of 90 rows, as files that a table names."""
    path = tmp_path_factory.mktemp("scenes")
    rng = np.random.default_rng(0)
    for name in ("scans", "masks", "depths"):
        (path / name).mkdir()
    bright = rng.integers(0, 2, 90)
    for row, (top, left) in enumerate(rng.integers(0, 4, (90, 2))):
        mask, depth = np.zeros((8, 8), np.uint8), np.full((8, 8), 3000, np.uint16)
        mask[top : top + 4, left : left + 4], depth[top : top + 4, left : left + 4] = 1, 1000
        mask[0], depth[:, 0] = 255, 0
        pixels = 60 + 120 * (mask == 1) + 40 * bright[row] + rng.integers(-9, 9, (8, 8))
        PIL.fromarray(pixels.astype(np.uint8)).save(path / "scans" / f"{row}.png")
        PIL.fromarray(mask).save(path / "masks" / f"{row}.png")
        PIL.fromarray(depth).save(path / "depths" / f"{row}.png")
    named = {"scan": "scans", "mask": "masks", "depth": "depths"}
    rows = {name: [f"{each}/{n}.png" for n in range(90)] for name, each in named.items()}
    rows["mask"][5] = None
    table = pa.table({**rows, "bright": np.where(bright, "yes", "no").tolist()})
    pa.csv.write_csv(table, path / "rows.csv")
    pq.write_table(table, path / "rows.parquet", row_group_size=30)
    return path


_config = partial(config_of, CONFIG)


@pytest.fixture(scope="module")
def run(folder):
    return motet.train(_config(folder), output=folder / "run")


def test_labels_of_pixels_are_learned_beside_those_of_rows(run, folder):
    report = run.evaluate(folder / "rows.csv", split="test")
    assert report["mask"]["mean_iou"] > 0.5
    assert report["depth"]["rmse"] < 0.8  # a constant: 0.87


def test_the_model_folder_alone_predicts_maps_in_original_units(run, folder, tmp_path):
    expected = run.predict(folder / "rows.csv")
    shutil.copytree(run.path / "model", tmp_path / "moved")
    scans = [str(folder / "scans" / f"{n}.png") for n in range(90)]
    found = motet.load(tmp_path / "moved").predict({"scan": scans})
    assert found.equals(expected.select(found.column_names))
    depths = np.array(found["depth"].to_pylist())
    assert depths.shape == np.array(found["mask"].to_pylist()).shape == (90, 8, 8)
    assert 1 < np.median(depths) < 4  # metres, as the unit says


def test_a_run_resumes_exactly(run, folder, tmp_path):
    assert resumes_exactly(CONFIG, folder, run, tmp_path / "parts")


def test_a_run_on_a_stream_resumes_exactly(folder, tmp_path):
    assert resumes_exactly_from_a_stream(CONFIG, folder, tmp_path)


def test_folds_predict_every_row_with_stages_for_each_task(folder, tmp_path):
    config = _config(
        folder,
        training={**CONFIG["training"], "epochs": 1},
        model={"sharing": {"type": "hard", "task_layers": 1}},
        balancing="upgrad",
    )
    config["data"] = {**config["data"], "split": {"folds": 2}}
    run = motet.train(config, output=tmp_path / "run")
    table = pq.read_table(run.path / "predictions/test.parquet")
    assert table["row"].to_pylist() == list(range(90))
    assert np.array(table["mask"].to_pylist()).shape == (90, 8, 8)
    scans = {"scan": [str(folder / "scans" / f"{n}.png") for n in range(3)]}
    members = [each.predict(scans)["depth"].to_pylist() for each in run.members]
    found = np.array(run.predict(scans)["depth"].to_pylist())
    np.testing.assert_allclose(found, np.mean(members, axis=0), rtol=1e-5)


def test_a_bad_label_is_reported_with_its_line(folder, tmp_path):
    for name in ("scans", "masks", "depths"):
        shutil.copytree(folder / name, tmp_path / name)
    shutil.copy(folder / "rows.csv", tmp_path / "rows.csv")
    (tmp_path / "masks" / "7.png").write_text("no image")
    with pytest.raises(ConfigError) as caught:
        check(_config(tmp_path))
    (problem,) = caught.value.problems
    assert "row 7 (line 9 of " in problem.message
    assert "masks/7.png is not an image" in problem.message
