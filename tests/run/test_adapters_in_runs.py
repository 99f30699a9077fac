"""Runs with adapters: saved without the model's folder, merged when asked, resumed bit by bit."""

import json
import shutil
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pretrained_models import tiny
from quick_cases import others_slow

import motet
from motet.problems import InputError

pytest.importorskip("tokenizers")
pytest.importorskip("peft")

WORDS = ["good", "bad", "fine", "poor", "a", "the", "dress", "coat"]


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    picked = rng.integers(0, len(WORDS), (60, 5))
    return pa.table(
        {
            "words": [[WORDS[place] for place in row] for row in picked],
            "kinds": [["B-x" if place < 4 else "O" for place in row] for row in picked],
            "age": rng.normal(size=60),
            "happy": picked[:, 0] % 2,
        }
    )


@pytest.fixture
def folder(tmp_path):
    from motet.data.tokeniser_training import train

    tiny(tmp_path / "tiny")
    tokenizer = train("words", WORDS * 2, vocabulary=60, min_count=1)
    (tmp_path / "tiny" / "tokenizer.json").write_text(tokenizer.to_json())
    return tmp_path / "tiny"


def config(folder, **adapter):
    adapter = {"type": "lora", "rank": 2, **adapter}
    encoder = {"type": "pretrained", "path": str(folder), "adapter": adapter}
    return {
        "inputs": {
            "words": {"type": "text", "tokenizer": str(folder), "encoder": encoder},
            "age": "number",
        },
        "tasks": {"happy": "classification", "kinds": "sequence_labelling"},
        "training": {"epochs": 2, "batch_size": 16},
    }


def test_a_run_with_an_adapter_per_task_loads_without_the_folder(rows, folder, tmp_path):
    lines = []
    run = motet.train(
        config(folder, per_task=True), rows, output=tmp_path / "run", say=lines.append
    )
    assert "adapters   happy 384, kinds 384" in lines
    expected = run.predict(rows)
    shutil.rmtree(folder)
    model = tmp_path / "run" / "model"
    assert str(tmp_path) not in (model / "config.json").read_text()
    assert motet.load(model).predict(rows).equals(expected)
    for task in ("happy", "kinds"):
        adapter = model / "adapters" / "words" / task
        assert (adapter / "adapter_model.safetensors").stat().st_size < 2e6
        settings = json.loads((adapter / "adapter_config.json").read_text())
        assert settings["r"] == 2
        assert settings["target_modules"] == ["query", "value"]
        assert settings["base_model_name_or_path"] is None


@pytest.mark.parametrize("per_task", others_slow([True], [False, True]))
def test_a_run_that_was_stopped_ends_as_one_that_was_not(rows, folder, tmp_path, per_task):
    given = config(folder, per_task=per_task, dropout=0.1)
    whole = motet.train(given, rows, output=tmp_path / "whole")

    class Stop(Exception):
        pass

    def stop(text):
        if text.startswith("epoch") and " 1/2" in text:
            raise Stop

    with pytest.raises(Stop):
        motet.train(given, rows, output=tmp_path / "parts", say=stop)
    resumed = motet.resume(tmp_path / "parts", rows)
    assert resumed.predict(rows).equals(whole.predict(rows))


def test_a_merged_model_predicts_the_same_and_needs_no_peft(rows, folder, tmp_path, monkeypatch):
    plain = motet.train(config(folder), rows, output=tmp_path / "plain")
    options = ["training.keep=each"]
    motet.train(config(folder, merge=True), rows, options, output=tmp_path / "merged")
    monkeypatch.setitem(sys.modules, "peft", None)
    merged = motet.load(tmp_path / "merged" / "model")
    assert not any("lora_" in name for name, _ in merged.model.named_parameters())
    for weights in ("best", "each"):
        found = merged.predict(rows, weights=weights)["happy_probability_1"].to_numpy()
        if weights == "best":
            expected = plain.predict(rows)["happy_probability_1"].to_numpy()
            np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(InputError, match=r"motet\[adapters\]"):
        motet.load(tmp_path / "plain" / "model")


def test_states_are_not_kept_where_adapters_train(rows, folder, tmp_path):
    lines = []
    given = config(folder, per_task=True)
    motet.train(given, rows, output=tmp_path / "run", say=lines.append)
    assert not any("cache" in line for line in lines)
    options = ["training.freeze=[pretrained]", "training.cache_frozen=true"]
    with pytest.raises(InputError, match="each task has an adapter of its own"):
        motet.train(given, rows, options, output=tmp_path / "frozen")


@pytest.mark.parametrize("per_task", others_slow([True], [False, True]))
def test_streamed_rows_train_adapters(rows, folder, tmp_path, per_task):
    pq.write_table(rows, tmp_path / "rows.parquet")
    options = ["data.stream=true", f"data.source={tmp_path / 'rows.parquet'}"]
    run = motet.train(config(folder, per_task=per_task), overrides=options, output=tmp_path / "run")
    matrices = {n: p for n, p in run.model.named_parameters() if "lora_B" in n}
    assert matrices
    assert all(p.any() for p in matrices.values())
    assert motet.load(tmp_path / "run").predict(rows).equals(run.predict(rows))


def test_the_folder_of_an_adapter_stays_within_that_of_the_model(rows, folder, tmp_path):
    given = config(folder, per_task=True)
    given["inputs"]["../words/.."] = {**given["inputs"].pop("words"), "column": "words"}
    given["tasks"]["kinds"] = {"type": "sequence_labelling", "input": "../words/.."}
    motet.train(given, rows, ["training.epochs=1"], output=tmp_path / "run")
    files = sorted(tmp_path.rglob("adapter_model.safetensors"))
    assert [str(each.parent.relative_to(tmp_path / "run" / "model")) for each in files] == [
        f"adapters/..%2Fwords%2F../{task}" for task in ("happy", "kinds")
    ]


def test_a_wrong_target_is_named_with_its_line(rows, folder, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(
        f"""inputs:
  words:
    type: text
    tokenizer: {folder}
    encoder:
      type: pretrained
      path: {folder}
      adapter:
        type: lora
        targets: [query, queri]
        per_task: true
tasks: {{happy: classification}}
"""
    )
    with pytest.raises(InputError, match=r"wrong.yaml:10:.*found 'queri'"):
        motet.train(path, rows, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
