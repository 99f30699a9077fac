"""Runs on an encoder of a Hugging Face folder: low rates, freezing, a model without the folder."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
from pretrained_models import tiny
from quick_cases import others_slow

import motet
from motet.problems import InputError

pytest.importorskip("tokenizers")

WORDS = ["good", "bad", "fine", "poor", "a", "the", "dress", "coat"]


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    picked = rng.integers(0, len(WORDS), (80, 5))
    texts = [" ".join(WORDS[place] for place in row) for row in picked]
    return pa.table({"review": texts, "age": rng.normal(size=80), "happy": picked[:, 0] % 2})


@pytest.fixture
def folder(tmp_path):
    from motet.data.tokeniser_training import train

    tiny(tmp_path / "tiny")
    tokenizer = train("words", WORDS * 2, vocabulary=60, min_count=1)
    (tmp_path / "tiny" / "tokenizer.json").write_text(tokenizer.to_json())
    return tmp_path / "tiny"


def config(folder):
    return {
        "inputs": {
            "review": {
                "type": "text",
                "tokenizer": str(folder),
                "encoder": {"type": "pretrained", "path": str(folder)},
            },
            "age": "number",
        },
        "tasks": {"happy": "classification"},
        "training": {"epochs": 3, "batch_size": 16},
    }


def test_model_alone_predicts_without_the_folder_and_holds_no_path(rows, folder, tmp_path):
    lines = []
    run = motet.train(config(folder), rows, output=tmp_path / "run", say=lines.append)
    rates = next(line for line in lines if line.startswith("rates"))
    assert "0.001 (" in rates
    assert "2e-05 (" in rates
    expected = run.predict(rows)
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "run" / "model", tmp_path / "alone")
    assert str(tmp_path) not in (tmp_path / "alone" / "config.json").read_text()
    assert motet.load(tmp_path / "alone").predict(rows).equals(expected)


def test_a_run_unfreezes_the_encoder_layer_by_layer_and_says_so(rows, folder, tmp_path):
    lines = []
    options = ["training.freeze=[pretrained]", "training.unfreeze={every: 1, layers: 2}"]
    motet.train(config(folder), rows, options, tmp_path / "run", say=lines.append)
    start = next(place for place, line in enumerate(lines) if line.startswith("frozen"))
    assert "from epoch 2: " in lines[start + 1]
    assert "encoder.layer.2" in lines[start + 1]
    assert "from epoch 3: " in lines[start + 2]
    records = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    counts = [r["trained"]["parameters"] for r in records if "trained" in r]
    assert len(counts) == 3
    assert counts[0] < counts[1] < counts[2]


def test_wrong_folders_and_parts_are_told_before_anything_is_written(rows, folder, tmp_path):
    with pytest.raises(InputError, match="not a folder here"):
        motet.train(config(tmp_path / "none"), rows, ["inputs.review.tokenizer=words"], "run")
    with pytest.raises(InputError, match="no part 'pretraned'"):
        motet.train(config(folder), rows, ["training.freeze=[pretraned]"], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_hidden_tokens_are_the_folder_s_own_mask_token(rows, folder, tmp_path, monkeypatch):
    seen = []
    view = motet.tasks.MaskedLanguageModelling.view_of_text

    def noted(self, text, vocabulary, generator):
        made = view(self, text, vocabulary, generator)
        seen.append((made[0]["ids"], made[1], vocabulary))
        return made

    monkeypatch.setattr(motet.tasks.MaskedLanguageModelling, "view_of_text", noted)
    chosen = config(folder)
    chosen["tasks"]["words"] = {"type": "masked_language_modelling", "share": 0.5}
    run = motet.train(chosen, rows, output=tmp_path / "run")
    ids, target, vocabulary = seen[0]
    assert vocabulary.mask == 4
    assert (ids[target != -100] == vocabulary.mask).float().mean() > 0.5
    assert run.history.curve("words", "loss")[-1] > 0
    shutil.rmtree(folder)
    assert (
        motet.load(run.path / "model").predict(rows).column_names == run.predict(rows).column_names
    )


def test_causal_language_modelling_on_it_is_rejected_with_the_reason(rows, folder):
    chosen = config(folder)
    chosen["tasks"]["following"] = {"type": "language_modelling"}
    with pytest.raises(InputError, match="Pretrained does not declare states that are independent"):
        motet.train(chosen, rows)


@pytest.mark.parametrize(
    "adapter", others_slow([None], [None, {"type": "lora", "rank": 2, "merge": True}])
)
def test_a_run_starts_from_its_encoder_without_the_folder(rows, folder, tmp_path, adapter):
    if adapter is not None:
        pytest.importorskip("peft")
    given = config(folder)
    given["inputs"]["review"]["encoder"]["adapter"] = adapter
    given["training"]["epochs"] = 1
    old = motet.train(given, rows, output=tmp_path / "old")
    shutil.rmtree(folder)
    shutil.move(old.path / "model", tmp_path / "alone")
    tasks = {"happy": "classification", "age": "regression"}
    inputs = {"review": {"type": "text", "from_run": str(tmp_path / "alone")}}
    both = {"from_run": str(tmp_path / "alone"), "tasks": {"happy": "classification"}}
    alone = {"inputs": inputs, "tasks": tasks}
    for name, start in (("both", both), ("one", alone)):
        chosen = {**start, "training": {"epochs": 1, "freeze": ["pretrained"]}}
        run = motet.train(chosen, rows, output=tmp_path / name)
        ours, theirs = (
            {k.rpartition("encoders.0.")[2]: v for k, v in state.items() if "encoders.0." in k}
            for state in (
                run.model.state_dict(),
                motet.load(tmp_path / "alone").model.state_dict(),
            )
        )
        assert ours
        assert ours.keys() == theirs.keys()
        assert all(ours[name].equal(each) for name, each in theirs.items())
    if adapter is not None:
        both["inputs"] = {**given["inputs"]}
        with pytest.raises(InputError, match=r"encoder.adapter.*expected None"):
            motet.train({**both, "training": given["training"]}, rows, output=tmp_path / "no")
