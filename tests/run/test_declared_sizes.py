"""Sizes told in a config: a run holds its data to them, and builds the model they ask for."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

import motet
from motet.config import ConfigError
from motet.model import MultiTaskModel
from motet.model.sizes import learned_sizes
from motet.run import check

RNG = np.random.default_rng(0)
ROWS = {
    "age": RNG.normal(size=60),
    "job": [f"job {row % 5}" for row in range(60)],
    "clip": RNG.normal(size=(60, 3)),
    "churn": ["yes", "no", "no"] * 20,
    "spend": RNG.normal(size=60),
    "place": RNG.normal(size=(60, 2)),
    "tags": [["a"], ["a", "b"], []] * 20,
    "part": ["train"] * 40 + ["validation"] * 10 + ["test"] * 10,
}
CONFIG = """\
data: {split: {column: part}}
inputs:
  age: {type: number, scaling: standard}
  job: {type: category, size: 5}
  clip: {type: vector, width: 3}
tasks:
  churn: {type: classification, classes: [yes, no]}
  spend: {type: regression, outputs: 1}
  place: {type: regression, outputs: 2}
  tags: {type: multi_label, classes: [b, a]}
model: {encoder: {hidden: [8]}}
training: {epochs: 1, batch_size: 32, device: cpu}
"""


@pytest.fixture
def file(tmp_path):
    def file(**changes):
        text = CONFIG
        for old, new in changes.values():
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "c.yaml").write_text(text)
        return tmp_path / "c.yaml"

    return file


def complaints(path, rows=ROWS):
    with pytest.raises(ConfigError) as caught:
        check(path, data=rows)
    return [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()]


def test_a_run_starts_from_the_model_that_its_config_gives_without_data(file):
    prepared = check(file(), data=ROWS)
    started = MultiTaskModel.from_sizes(
        prepared.config, learned_sizes(prepared.config, prepared.preprocessing)
    )
    expected = MultiTaskModel.from_config(file())
    assert_close(started.state_dict(), expected.state_dict(), rtol=0, atol=0)
    rows = {name: torch.from_numpy(array) for name, array in prepared.inputs.items()}
    assert_close(started.eval()(rows), expected.eval()(rows), rtol=0, atol=0)


def test_a_category_of_fewer_values_than_its_size_keeps_room_for_more(file, tmp_path):
    run = motet.train(file(size=("size: 5", "size: 9")), data=ROWS, output=tmp_path / "run")
    (embedding,) = (each for each in run.model.modules() if isinstance(each, nn.Embedding))
    assert embedding.num_embeddings == 2 + 9
    assert motet.load(tmp_path / "run").predict(ROWS) == run.predict(ROWS)


def test_the_order_of_the_classes_given_is_that_of_the_outputs(file):
    prepared = check(file(), data=ROWS)
    assert prepared.targets["churn"][:3].tolist() == [0, 1, 1]
    assert prepared.targets["tags"][:3].tolist() == [[0, 1], [1, 1], [0, 0]]


def test_data_that_do_not_have_the_sizes_told_are_named_at_their_keys(file):
    path = file(
        size=("size: 5", "size: 4"),
        width=("width: 3", "width: 4"),
        classes=("[yes, no]", "[yes, maybe]"),
        one=("outputs: 1", "outputs: 3"),
        two=("outputs: 2", "outputs: 1"),
        labels=("[b, a]", "[a]"),
    )
    expected = [
        "4:25  inputs.job.size: found 4, but column 'job' has 5 values that occur at least 2 times "
        "in training; raise size or min_count",
        "5:24  inputs.clip.width: found 4, but column 'clip' has 3 numbers per row; correct width, "
        "or leave it out",
        "7:3  tasks.churn: column 'churn' has 'no', which classes does not name (known: yes, "
        "maybe); correct the labels, or remove classes to learn them from the data",
        "8:29  tasks.spend.outputs: found 3, but column 'spend' has 1 number per row; correct "
        "outputs, or remove it",
        "9:29  tasks.place.outputs: found 1, but column 'place' has 2 numbers per row; correct "
        "outputs, or remove it",
        "10:3  tasks.tags: column 'tags' has the label 'b', which classes does not name; known: a",
    ]
    assert complaints(path) == expected


def test_a_list_of_patterns_is_as_good_as_one_pattern():
    rows = {"x": ROWS["age"], **{f"t_{place}": [0, 1, 1] * 20 for place in "abc"}}
    tasks = {"tags": {"type": "multi_label", "columns": ["t_a", "t_*"], "classes": ["A", "B", "C"]}}
    assert check({"tasks": tasks}, data=rows).targets["tags"].shape == (60, 3)
    del tasks["tags"]["classes"]
    assert check({"tasks": tasks}, data=rows).targets["tags"].shape == (60, 3)


@pytest.mark.parametrize("classes", ["[yes, no]", "2"])
def test_labels_of_no_class_are_refused_in_the_other_parts_too(file, classes):
    rows = {
        **ROWS,
        "churn": [*ROWS["churn"][:-1], "perhaps"],
        "tags": [*ROWS["tags"][:-1], ["z"]],
    }
    found = complaints(file(classes=("[yes, no]", classes), labels=("[b, a]", "2")), rows)
    assert found == [
        "7:3  tasks.churn: its labels have 'perhaps', not among its classes; correct the "
        "labels, or remove classes to treat such labels as missing",
        "10:3  tasks.tags: its labels have 'z', not among its classes; correct the labels, "
        "or remove classes to treat such labels as missing",
    ]
