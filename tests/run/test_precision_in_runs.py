"""Whole runs in half precision, deterministic, and out of memory."""

import pyarrow as pa
import pyarrow.csv
import pytest
import torch
from quick_cases import others_slow
from torch.testing import assert_close

import motet
from motet.cli import main
from motet.training.steps import Steps

CONFIG = {
    "tasks": {"churn": {"type": "classification"}, "spend": {"type": "regression"}},
    "model": {"encoder": {"hidden": [8]}},
    "balancing": {"type": "upgrad"},
    "training": {"epochs": 3, "batch_size": 32},
}


@pytest.fixture
def full_memory(monkeypatch):
    """Let the memory be full in some step."""

    def full_at(step):
        make, calls = Steps.make, []

        def made(self, *arguments):
            calls.append(1)
            if len(calls) == step:
                torch.empty(1 << 60)
            return make(self, *arguments)

        monkeypatch.setattr(Steps, "make", made)
        return lambda: monkeypatch.setattr(Steps, "make", make)

    return full_at


@pytest.mark.parametrize("precision", others_slow(["float16"], ["bfloat16", "float16"]))
def test_a_run_stopped_in_the_middle_ends_as_if_it_had_not_been(
    precision, people, tmp_path, full_memory
):
    """In float16, with the loss scale that it had."""
    changes = [f"training.precision={precision}", "training.checkpoint_every=2"]
    whole = motet.train(CONFIG, people, changes, tmp_path / "whole")
    restore = full_memory(6)
    with pytest.raises(motet.training.OutOfMemory):
        motet.train(CONFIG, people, changes, tmp_path / "parts")
    restore()
    parts = motet.resume(tmp_path / "parts", people)
    for one, two in zip(parts.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(one, two)
    assert "deterministic: false" in (tmp_path / "parts" / "config.yaml").read_text()


def test_out_of_memory_before_a_checkpoint_leaves_no_folder(people, tmp_path, full_memory):
    full_memory(2)
    with pytest.raises(motet.training.OutOfMemory, match=r"step 2 .*try training.batch_size: 16"):
        motet.train(CONFIG, people, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_out_of_memory_later_names_the_folder_and_how_to_continue(people, tmp_path, full_memory):
    full_memory(6)
    where = tmp_path / "run"
    with pytest.raises(
        motet.training.OutOfMemory, match=f"{where} is whole up to step 4; with more"
    ):
        motet.train(CONFIG, people, ["training.checkpoint_every=2"], where)


def test_the_command_line_prints_one_message(tmp_path, monkeypatch, capsys, full_memory):
    full_memory(1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["motet", "demo"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    error = capsys.readouterr().err
    assert "motet: out of memory in step 1" in error
    assert "Traceback" not in error


def test_a_deterministic_run_repeats_itself(people, tmp_path):
    runs = [
        motet.train(CONFIG, people, ["training.deterministic=true"], tmp_path / name)
        for name in ("one", "two")
    ]
    assert not torch.are_deterministic_algorithms_enabled()
    for one, two in zip(runs[0].model.parameters(), runs[1].model.parameters(), strict=True):
        assert torch.equal(one, two)


def test_rows_in_memory_may_stay_on_disk(people, tmp_path, monkeypatch):
    """While they are read and while they are trained on, where a stream fits the config."""
    pa.csv.write_csv(people, tmp_path / "people.csv")
    config = {**CONFIG, "data": {"source": str(tmp_path / "people.csv")}}
    monkeypatch.setattr("motet.run.training.prepare", lambda *_, **__: torch.empty(1 << 60))
    for more, hint in (([], r"try data.stream: true"), (["data.split.time=spend"], "free some")):
        with pytest.raises(
            motet.training.OutOfMemory, match=rf"in the preparation of the data \(.*; {hint}"
        ):
            motet.train(config, overrides=more, output=tmp_path / "run")


def test_predicting_and_evaluating_out_of_memory(people, tmp_path):
    run = motet.train(CONFIG, people, ["training.epochs=1"], tmp_path / "run")
    run.model.heads["churn"].register_forward_hook(lambda *_: torch.empty(1 << 60))
    for call, what in (
        (lambda: run.predict(people), "the prediction"),
        (lambda: run.evaluate(people, split="test"), "the evaluation"),
    ):
        with pytest.raises(motet.training.OutOfMemory, match=rf"in {what} .*only 4,096 rows"):
            call()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # while torch traces, its own would be errors inside
def test_a_compiled_run_resumes_and_its_model_is_that_of_one_that_is_not(
    people, tmp_path, full_memory, monkeypatch
):
    compile = torch.compile
    checks = "motet.training.passes.checks._lacking_compiler"
    monkeypatch.setattr(checks, lambda device: None)  # none is called
    monkeypatch.setattr(
        torch, "compile", lambda forward, options: compile(forward, backend="aot_eager")
    )
    changes = ["training.compile=true", "training.checkpoint_every=2"]
    plain = motet.train(CONFIG, people, output=tmp_path / "plain")
    whole = motet.train(CONFIG, people, changes, tmp_path / "whole")
    restore = full_memory(6)
    with pytest.raises(motet.training.OutOfMemory):
        motet.train(CONFIG, people, changes, tmp_path / "parts")
    restore()
    motet.resume(tmp_path / "parts", people)
    states = [
        motet.load(tmp_path / name).model.state_dict() for name in ("plain", "whole", "parts")
    ]
    assert states[0].keys() == states[1].keys()
    for name, value in states[1].items():
        assert torch.equal(states[2][name], value)
        assert_close(states[0][name], value, rtol=1e-2, atol=1e-3)
    assert whole.predict(people).num_rows == plain.predict(people).num_rows
