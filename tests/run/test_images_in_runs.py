"""Runs on images: trained, resumed, streamed, moved, in several processes, and refused."""

import shutil
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch

import motet
from motet.config import ConfigError
from motet.processes import processes_of
from motet.run import check
from motet.run.initialising import initial_config
from tests.gloo import in_processes
from tests.run.image_rows import config_of, resumes_exactly, resumes_exactly_from_a_stream
from tests.run.stopped_runs import same_weights, stopped

PIL = pytest.importorskip("PIL.Image")

AUGMENTATION = {"horizontal_flip": 0.5, "random_crop": 1, "color_jitter": {"brightness": 0.2}}
SCAN = {
    "type": "image",
    "encoder": {"type": "cnn", "widths": [8], "blocks": 1},
    "augmentation": AUGMENTATION,
}
CONFIG = {
    "inputs": {"scan": SCAN},
    "tasks": {"bright": "classification", "level": "regression"},
    "training": {
        "epochs": 3,
        "batch_size": 16,
        "optimizer": {"learning_rate": 0.01},
        "device": "cpu",
    },
    "balancing": "pcgrad",
}


def _rows(count=90):
    rng = np.random.default_rng(0)
    level = rng.integers(20, 200, count)
    pixels = (level[:, None, None] + rng.integers(-20, 20, (count, 8, 8))).astype(np.uint8)
    return pixels, {
        "bright": np.where(level > 110, "yes", "no").tolist(),
        "level": (level / 100).tolist(),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images in files, and a CSV and a Parquet file that have their paths."""
    path = tmp_path_factory.mktemp("images")
    pixels, labels = _rows()
    (path / "scans").mkdir()
    for number, each in enumerate(pixels):
        PIL.fromarray(each).save(path / "scans" / f"{number}.png")
    table = pa.table({"scan": [f"scans/{n}.png" for n in range(len(pixels))], **labels})
    pa.csv.write_csv(table, path / "rows.csv")
    pq.write_table(table, path / "rows.parquet", row_group_size=30)
    return path


_config = partial(config_of, CONFIG)


@pytest.fixture(scope="module")
def run(folder):
    return motet.train(_config(folder), output=folder / "run")


def _weights(run):
    return run.model.state_dict()


def test_two_tasks_learn_from_images(run, folder):
    report = run.evaluate(folder / "rows.csv", split="test")
    assert report["bright"]["accuracy"] > 0.8


def test_the_model_folder_alone_predicts_from_paths_bytes_and_arrays(run, folder, tmp_path):
    pixels = _rows()[0][:5]
    expected = run.predict(folder / "rows.csv")["level"].to_numpy()[:5]
    shutil.copytree(run.path / "model", tmp_path / "moved")
    assert str(folder) not in "".join(each.read_text() for each in tmp_path.rglob("*.json"))
    moved = motet.load(tmp_path / "moved")
    paths = {"scan": [str(folder / "scans" / f"{n}.png") for n in range(5)]}
    contents = {"scan": [(folder / "scans" / f"{n}.png").read_bytes() for n in range(5)]}
    for rows in (paths, contents, {"scan": pixels}):
        found = moved.predict(rows)["level"].to_numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_run_resumes_exactly(run, folder, tmp_path):
    assert resumes_exactly(CONFIG, folder, run, tmp_path / "parts")


@pytest.mark.slow
def test_a_run_on_a_stream_resumes_exactly(folder, tmp_path):
    assert resumes_exactly_from_a_stream(CONFIG, folder, tmp_path)


def test_images_that_are_decoded_anew_give_the_same_run(run, folder, tmp_path):
    scan = {**SCAN, "cache": 0, "workers": 3}
    assert same_weights(
        run, motet.train(_config(folder, inputs={"scan": scan}), output=tmp_path / "run")
    )


@pytest.mark.slow
def test_processes_and_micro_batches_train_as_one_process_does(run, folder, tmp_path):
    def trained(config, output):
        return _weights(motet.train(config, output=output if processes_of().first else None))

    training = {**CONFIG["training"], "accumulate": 2}
    for found in in_processes(2, trained, _config(folder, training=training), tmp_path / "run"):
        for name, value in _weights(run).items():
            torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4)


def test_each_process_decodes_its_share_of_a_batch(folder, tmp_path):
    from motet.data.images import stored
    from motet.training import epochs

    decoded = []

    def counting(images, rows, *how):
        decoded[-1].append(len(rows))
        return opened(images, rows, *how)

    def of_epoch(*given):
        decoded.append([])
        return batches_left(*given)

    def trained(config, output):
        run = motet.train(config, output=output if processes_of().first else None)
        return _weights(run), decoded[-1]

    opened, batches_left = stored.opened, epochs.batches_left
    config = _config(
        folder,
        inputs={"scan": {**SCAN, "cache": 0}},
        training={**CONFIG["training"], "epochs": 1, "batch_size": 21},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "opened", counting)
        patch.setattr("motet.training.trainer.batches_left", of_epoch)
        expected, whole = trained(config, tmp_path / "alone")
        (one, first), (_, second) = in_processes(2, trained, config, tmp_path / "run")
    steps = 3  # of 63 training rows; what follows is evaluated
    assert whole[:steps] == [21] * 3
    assert first[:steps] == [11] * 3
    assert second[:steps] == [10] * 3
    assert sum(whole) == sum(first) + sum(second)  # validation and test batches, in turns
    for name, value in expected.items():
        torch.testing.assert_close(one[name], value, rtol=1e-4, atol=1e-5)


def test_a_run_whose_images_have_changed_is_not_resumed(folder, tmp_path):
    for name in ("rows.csv", "scans"):
        source = folder / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    stopped(_config(tmp_path), tmp_path / "parts")
    PIL.new("L", (8, 8), 77).save(tmp_path / "scans" / "3.png")
    with pytest.raises(motet.InputError, match="data"):
        motet.resume(tmp_path / "parts")


def test_a_bad_image_is_reported_with_its_line_and_skipped_by_choice(folder, tmp_path):
    shutil.copytree(folder / "scans", tmp_path / "scans")
    shutil.copy(folder / "rows.csv", tmp_path / "rows.csv")
    (tmp_path / "scans" / "7.png").write_text("no image")
    with pytest.raises(ConfigError) as caught:
        check(_config(tmp_path))
    (problem,) = caught.value.problems
    assert "row 7 (line 9 of " in problem.message
    assert "scans/7.png is not an image" in problem.message
    scan, lines = {**SCAN, "corrupt": "skip"}, []
    motet.train(_config(tmp_path, inputs={"scan": scan}), output=tmp_path / "run", say=lines.append)
    (found,) = (line for line in lines if "cannot be used" in line)
    assert "1 of 90 rows have an image that cannot be used" in found


def test_a_root_of_its_own_holds_for_the_run_folder(folder, tmp_path):
    shutil.copy(folder / "rows.csv", tmp_path / "rows.csv")
    scan = {**SCAN, "root": str(folder)}
    training = {**CONFIG["training"], "epochs": 1}
    config = _config(tmp_path, inputs={"scan": scan}, training=training)
    run = motet.load(motet.train(config, output=tmp_path / "run").path)
    assert len(run.predict(tmp_path / "rows.csv")) == 90
    alone = motet.load(tmp_path / "run" / "model")
    with pytest.raises(motet.InputError, match=r"scans/0\.png does not exist"):
        alone.predict(tmp_path / "rows.csv")


def test_init_recognises_paths_bytes_and_arrays(folder, tmp_path):
    text = initial_config(str(folder / "rows.csv"), ["bright"])
    assert "scan: {type: image, encoder: cnn}" in text
    assert "paths of image files, 8 x 8" in text
    pixels, labels = _rows()
    contents = [(folder / "scans" / f"{n}.png").read_bytes() for n in range(90)]
    with_bytes = pa.table({"scan": contents, **labels})
    pq.write_table(with_bytes, tmp_path / "bytes.parquet")
    assert "bytes of image files" in initial_config(str(tmp_path / "bytes.parquet"), ["bright"])
    arrays = pa.table({"scan": pixels.tolist(), **labels})
    pq.write_table(arrays, tmp_path / "arrays.parquet")
    assert "type: image" in initial_config(str(tmp_path / "arrays.parquet"), ["bright"])
    names = pa.table({"scan": [f"gone/{n}.png" for n in range(90)], **labels})
    pq.write_table(names, tmp_path / "names.parquet")
    with pytest.raises(motet.InputError, match="as if it named them"):
        initial_config(str(tmp_path / "names.parquet"), ["bright", "level"])


def test_mistakes_in_options_are_reported_at_their_keys(folder):
    scan = {
        "type": "image",
        "size": [8],
        "augmentation": {"rotation": 200, "horizontal_flipp": 0.5},
        "corrupt": "ignore",
    }
    with pytest.raises(ConfigError) as caught:
        check(_config(folder, inputs={"scan": scan}))
    text = str(caught.value)
    for key in ("size", "rotation", "horizontal_flipp", "corrupt"):
        assert key in text
