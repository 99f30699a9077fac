"""Runs that start from an earlier run's encoder or heads."""

import shutil

import numpy as np
import pyarrow.csv
import pytest
import torch
from in_process import in_process
from small_runs import weights
from stopped_runs import stopped
from typer.testing import CliRunner

import motet
from motet.cli import app
from motet.config.schema import json_schema
from motet.problems import InputError
from motet.run.changes import read_changes
from motet.run.folds import with_classes

__all__ = ["in_process"]
NUMBERS = {f"x{i}": "number" for i in range(3)}
TRAINING = {"epochs": 2, "batch_size": 64, "device": "cpu"}
EARLIER = {
    "inputs": {**NUMBERS, "job": "category"},
    "tasks": {"a": {"type": "classification", "class_weights": "balanced"}, "b": "regression"},
    "model": {"encoder": {"type": "mlp", "hidden": [8]}},
    "training": TRAINING,
}


def table(count=200, shift=0.0, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 3)) + shift
    return {
        **{f"x{i}": x[:, i] for i in range(3)},
        "job": np.where(x[:, 2] > shift, "cook", "nurse"),
        "a": np.where(x[:, 0] > shift, "yes", "no"),
        "b": 100 + 50 * x[:, 1],
        "c": np.where(x[:, 0] + x[:, 1] > 2 * shift, "u", "v"),
        "review": [["good", "bad", "so so"][i % 3] + " film" for i in range(count)],
    }


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    return motet.train(EARLIER, table(), output=tmp_path_factory.mktemp("earlier") / "old")


def following(earlier, tasks=("a", "c"), parts=None, **changes):
    start = str(earlier.path) if parts is None else {"path": str(earlier.path), "parts": parts}
    tasks = dict.fromkeys(tasks, "classification")
    return {"tasks": tasks, "from_run": start, "training": TRAINING, **changes}


def first_model(config, rows=None):
    """The model before the first step, and the rows that it would be trained on."""
    prepared = motet.run.prepare(config, data=rows or table(seed=1))
    return motet.run.build_trainer(prepared).model, prepared


def outputs(model, inputs, task):
    with torch.no_grad():
        tensors = {name: torch.from_numpy(each) for name, each in inputs.items()}
        return model.eval()(tensors, [task])[task]


def test_a_head_predicts_what_it_did_until_it_is_trained(earlier):
    rows = table(shift=3.0, seed=1)  # other means: scales must be those of the earlier run
    model, prepared = first_model(following(earlier), rows)
    assert list(prepared.config.inputs) == list(earlier.config.inputs)
    assert prepared.preprocessing.target("a").names == ("no", "yes")
    found = outputs(model, prepared.inputs, "a").softmax(dim=1)[:, 1]
    expected = earlier.predict(rows)["a_probability_yes"].to_numpy()
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_an_encoder_alone_gets_new_heads(earlier):
    model, _ = first_model(following(earlier, parts=["encoder"]))
    shared = earlier.model.sharing.state_dict()
    assert all(torch.equal(shared[n], each) for n, each in model.sharing.state_dict().items())
    ours, theirs = (m.heads["a"].state_dict() for m in (model, earlier.model))
    assert not all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_run_reports_what_earlier_tasks_lost(earlier, tmp_path):
    lines, rows = [], table()
    run = motet.train(following(earlier), rows, output=tmp_path / "new", say=lines.append)
    changes = run.changes()
    before = earlier.evaluate(rows, split="validation")
    assert set(changes) == {"a", "b"}
    for task, change in changes.items():
        assert change.before["score"] == pytest.approx(before.scores[task], abs=1e-4)
        assert change.before["loss"] == pytest.approx(before[task]["loss"], rel=1e-4)
    after = run.evaluate(rows, split="validation")
    assert changes["a"].trained
    assert changes["a"].path == str(earlier.path)
    assert changes["a"].after["score"] == pytest.approx(after.scores["a"])
    assert not changes["b"].trained
    assert changes["b"].lost != 0
    assert any(line.startswith("from run") and "encoder, a" in line for line in lines)
    assert any("b (not trained" in line for line in lines)
    assert "Tasks of the earlier run" in run.report().read_text()
    with pytest.raises(InputError, match="did not start from another run"):
        earlier.changes()


def test_losses_before_and_after_are_those_of_the_new_run(earlier, tmp_path):
    tasks = {
        "a": {"type": "classification", "class_weights": [1.0, 5.0]},
        "b": {"type": "regression", "loss": "mae"},
    }
    training = {**TRAINING, "epochs": 1, "optimizer": {"type": "sgd", "learning_rate": 1e-12}}
    config = following(earlier, training=training) | {"tasks": tasks}
    changes = motet.train(config, table(), output=tmp_path / "new").changes()
    for change in changes.values():
        assert change.after["loss"] == pytest.approx(change.before["loss"], rel=1e-6)


@pytest.mark.parametrize("name", ["weight", "0"])
def test_a_new_task_may_be_called_as_parameters_are(earlier, name):
    tasks = {name: {"type": "regression", "column": "b"}}
    model, _ = first_model({**following(earlier), "tasks": tasks})
    shared = earlier.model.sharing.state_dict()
    assert all(torch.equal(shared[n], each) for n, each in model.sharing.state_dict().items())


@pytest.mark.parametrize(
    ("tasks", "parts"), [({"c": "classification"}, None), ({"b": "regression"}, ["encoder"])]
)
def test_rows_that_trained_the_encoder_stay_in_their_splits(earlier, tasks, parts):
    config = following(earlier, parts=parts) | {"tasks": tasks}
    first_model(config, table())
    with pytest.raises(InputError, match=r"in another split.*use the same data.split"):
        first_model({**config, "data": {"split": {"seed": 1}}}, table())


def test_tasks_lose_nothing_while_the_encoder_is_frozen(earlier, tmp_path):
    config = following(earlier, tasks=("c",), training={**TRAINING, "freeze": ["encoder"]})
    changes = motet.train(config, table(), output=tmp_path / "new").changes()
    assert set(changes) == {"a", "b"}
    assert all(change.before == change.after for change in changes.values())


def test_the_folder_needs_no_other_and_a_resumed_run_is_the_same(earlier, tmp_path):
    moved = motet.load(shutil.copytree(earlier.path, tmp_path / "moved"))
    config = following(moved)
    whole = motet.train(config, table(), output=tmp_path / "whole")
    stopped(config, tmp_path / "parts", data=table(), step=3)
    with pytest.raises(InputError, match="not finished; finish it: motet resume"):
        read_changes(tmp_path / "parts")
    shutil.rmtree(moved.path)
    parts = motet.resume(tmp_path / "parts", data=table())
    assert weights(parts.path) == weights(whole.path)
    assert parts.changes() == whole.changes()
    alone = motet.load(shutil.copytree(whole.path / "model", tmp_path / "alone"))
    assert alone.predict(table()) == whole.predict(table())
    assert str(tmp_path) not in (tmp_path / "alone" / "config.json").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": {"x0": "number", "z": "number"}}, "x1, x2, job of it are missing.*; inputs: z"),
        ({"inputs": {**NUMBERS, "job": "number"}}, "inputs.job.type: found 'number', expected 'ca"),
        ({"model": {"sharing": "mmoe"}}, "model.sharing.type: found 'mmoe', expected 'hard'"),
        ({"model": {"encoder": {"type": "mlp", "hidden": [9]}}}, r"hidden: found \[9\], expected"),
        ({"tasks": {"a": "regression"}}, "task 'a' is regression here and classification in"),
        (
            {"tasks": {"a": {"type": "classification", "classes": ["yes", "no"]}}},
            "tasks.a.classes: found",
        ),
        ({"tasks": {"a": {"type": "classification", "head": {"hidden": [3]}}}}, "tasks.a.head"),
        ({"data": {"split": {"seed": 1}}}, "in another split.*use the same data.split"),
    ],
)
def test_what_differs_is_refused(earlier, changes, message):
    with pytest.raises(InputError, match=message):
        first_model({**following(earlier), **changes}, table())


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("encodr", "did you mean 'encoder'"),
        ("c", "'c', which .* does not have"),
        ("inputs.x0", "the encoder of the table reads with other inputs; expected encoder"),
    ],
)
def test_parts_that_are_not_there_are_refused(earlier, part, message):
    with pytest.raises(InputError, match=message):
        first_model(following(earlier, parts=[part]))


def test_a_run_that_is_not_there_or_has_no_weights_is_refused(earlier, tmp_path):
    with pytest.raises(InputError, match=r"from_run: there is no folder .*did you mean"):
        first_model({**following(earlier), "from_run": f"{earlier.path}s"})
    unfinished = shutil.copytree(earlier.path, tmp_path / "unfinished")
    shutil.rmtree(unfinished / "model")
    with pytest.raises(InputError, match="not finished; finish it first: motet resume"):
        first_model({**following(earlier), "from_run": str(unfinished)})
    with pytest.raises(InputError, match="holds no trained model"):
        first_model({**following(earlier), "from_run": str(tmp_path)})


def test_labels_that_a_head_does_not_know_are_refused(earlier):
    rows = table(seed=1)
    rows["a"] = np.where(rows["x1"] > 1, "perhaps", rows["a"])
    with pytest.raises(InputError, match="labels that the earlier run does not know: perhaps"):
        first_model(following(earlier), rows)
    model, _ = first_model(following(earlier, parts=["encoder"]), rows)
    assert model.tasks["a"].outputs == 3


def test_options_that_are_left_out_are_as_there_and_those_of_training_may_differ(earlier):
    _, prepared = first_model(following(earlier))
    assert prepared.config.tasks["a"].options()["class_weights"] == "balanced"
    tasks = {"a": {"type": "classification", "class_weights": [1.0, 2.0], "weight": 3.0}}
    _, prepared = first_model(following(earlier) | {"tasks": tasks})
    assert prepared.config.tasks["a"].options()["class_weights"] == [1.0, 2.0]
    assert prepared.config.model.encoder.options()["hidden"] == (8,)


@pytest.mark.parametrize("sharing", ["soft", "mmoe", "cgc", "dselect_k", "ple", "cross_stitch"])
def test_sharing_schemes_take_new_tasks_or_refuse_them(sharing, tmp_path):
    chosen = {"type": sharing} | ({"expert_width": 8} if sharing == "ple" else {})
    config = {**EARLIER, "model": {**EARLIER["model"], "sharing": chosen}}
    old = motet.train(config, table(), output=tmp_path / "old", overrides=["training.epochs=1"])
    if sharing in ("ple", "cross_stitch"):
        with pytest.raises(InputError, match="expected the same tasks in"):
            first_model(following(old))
        model, prepared = first_model({**EARLIER, "from_run": str(old.path)})
    else:
        model, prepared = first_model(following(old))
    expected = outputs(old.model, prepared.inputs, "a")
    assert torch.equal(outputs(model, prepared.inputs, "a"), expected)


@pytest.fixture(scope="module")
def of_texts(tmp_path_factory):
    encoder = {"type": "lstm", "width": 8}
    config = {
        **EARLIER,
        "inputs": {"review": {"type": "text", "encoder": encoder, "tokenizer": "words"}},
        "tasks": {"a": "classification"},
        "model": {},
    }
    return motet.train(config, table(), output=tmp_path_factory.mktemp("texts") / "old")


def test_an_input_brings_its_encoder_and_vocabulary(of_texts):
    rows = table(seed=1) | {"review": ["new words good film"] * 200}
    config = {
        "inputs": {**NUMBERS, "review": {"type": "text", "from_run": str(of_texts.path)}},
        "tasks": {"c": "classification"},
        "training": TRAINING,
    }
    model, prepared = first_model(config, rows)
    (found,) = (m for m in model.modules() if type(m).__name__ == "LSTM" and hasattr(m, "width"))
    (known,) = (
        m for m in of_texts.model.modules() if type(m).__name__ == "LSTM" and hasattr(m, "width")
    )
    for name, tensor in known.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor)
    own, theirs = (
        each.fitted_inputs["review"].state()
        for each in (prepared.preprocessing, of_texts.reader.preprocessing)
    )
    assert own == theirs


def test_a_task_brings_its_head_and_the_encoder_that_it_reads(earlier):
    tasks = {
        "a": {"type": "classification", "from_run": str(earlier.path)},
        "c": "classification",
    }
    model, prepared = first_model({"tasks": tasks, "training": TRAINING})
    expected = outputs(earlier.model, prepared.inputs, "a")
    assert torch.equal(outputs(model, prepared.inputs, "a"), expected)


def test_one_thing_cannot_come_from_two_runs(earlier, of_texts):
    tasks = {"a": {"type": "classification", "from_run": str(of_texts.path)}, "b": "regression"}
    with pytest.raises(InputError, match="found the encoders of"):
        first_model({**following(earlier), "tasks": tasks, "inputs": None})


def test_a_stream_starts_from_a_run_too(earlier, tmp_path):
    rows = motet.data.sources.as_table(table(400, seed=1))
    config = following(earlier, data={"stream": True, "split": {"validation": 0.2, "test": 0.2}})
    run = motet.train(config, rows, output=tmp_path / "new")
    assert set(run.changes()) == {"a"}


def test_a_streamed_run_and_its_split_are_recognised_in_memory(tmp_path):
    rows = table() | {"part": ["train", "train", "validation", "test"] * 50}
    split = {"column": "part"}
    old = motet.train(
        {**EARLIER, "data": {"stream": True, "split": split}},
        motet.data.sources.as_table(rows),
        output=tmp_path / "old",
    )
    config = following(old, parts=["encoder"])
    first_model({**config, "data": {"split": split}}, rows)
    with pytest.raises(InputError, match=r"in another split.*use the same data.split"):
        first_model(config, rows)


@pytest.mark.parametrize("of_a_task", [False, True])
def test_each_fold_starts_from_a_run(earlier, of_a_task, tmp_path):
    config = following(earlier, data={"split": {"folds": 2}})
    if of_a_task:
        tasks = {"a": {"type": "classification", "from_run": str(earlier.path)}}
        config |= {"from_run": None, "tasks": tasks}
    rows = table(seed=1)
    classes = with_classes(motet.run.prepare(config, data=rows)).tasks["a"].options()["classes"]
    assert classes is None  # those of the earlier run, whichever are here
    run = motet.train(config, rows, output=tmp_path / "new")
    assert (run.path / "folds/2/from_run.json").is_file()


def test_the_command_line_names_the_run(earlier, tmp_path):
    pyarrow.csv.write_csv(motet.data.sources.as_table(table(seed=1)), tmp_path / "rows.csv")
    (tmp_path / "c.yaml").write_text(
        "data: {source: rows.csv}\ntasks: {c: classification}\n"
        "training: {epochs: 1, batch_size: 64, device: cpu}\n"
    )
    asked = ["train", str(tmp_path / "c.yaml"), "--output", str(tmp_path / "run")]
    found = CliRunner().invoke(app, [*asked, f"from_run={earlier.path}"])
    assert found.exit_code == 0, found.output
    assert "from run" in found.output


def test_compared_and_tuned_runs_start_from_it_too(earlier, tmp_path):
    config = following(earlier, parts=["encoder"], training={**TRAINING, "epochs": 1})
    asked = {"balancers": ["dwa"], "seeds": 1, "single_task": False, "candidates": 1}
    found = motet.compare(config, table(seed=1), output=tmp_path / "compared", **asked)
    paths = list(found.path.glob("**/from_run.json"))
    assert len(paths) > 1
    pytest.importorskip("optuna", reason="needs Optuna, an extra")
    ranges = {"training.optimizer.learning_rate": [1e-3, 1e-2]}
    tuning = {"ranges": ranges, "trials": 2}
    tuned = motet.tune({**config, "tuning": tuning}, table(seed=1), output=tmp_path / "tuned")
    assert list(tuned.path.glob("**/from_run.json"))


def test_the_schema_has_both_spellings():
    found = json_schema()["$defs"]["FromRun"]
    assert "string" in str(found)
    assert "parts" in str(found)
