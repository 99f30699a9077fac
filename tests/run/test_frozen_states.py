"""What frozen encoders make of texts is computed once and kept, and a run ends as without that."""

import json
import os
import re
import shutil
import threading
import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from pretrained_models import minilm_dir, needs_minilm, tiny
from quick_cases import others_slow
from safetensors.torch import load, load_file, save_file
from torch.testing import assert_close

import motet
from motet.config import ConfigError
from motet.encoders import LSTM, Pretrained
from motet.run import cache as kept
from motet.run import check, frozen_states
from motet.run.scoring import scored
from motet.states import TokenStates
from motet.training import precomputing

pytest.importorskip("tokenizers")

WORDS = ["good", "bad", "fine", "poor", "a", "the", "dress", "coat"]
OFF = "training.cache_frozen=false"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOTET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "frozen"


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    picked = [rng.integers(0, len(WORDS), length) for length in rng.integers(0, 9, 90)]
    words = [[WORDS[place] for place in row] for row in picked]
    return pa.table(
        {
            "review": [" ".join(row) for row in words],
            "words": pa.array(words, pa.list_(pa.string())),
            "age": rng.normal(size=90),
            "happy": [int(row[:1].sum()) % 2 for row in picked],
            "tags": [["B-x" if place < 3 else "O" for place in row] for row in picked],
            "fold": (["train"] * 7 + ["validation"] * 2 + ["test"]) * 9,
        }
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    from motet.data.tokeniser_training import train

    path = tmp_path_factory.mktemp("made") / "tiny"
    tiny(path)
    tokenizer = train("bpe", [*WORDS, "a fine dress"] * 2, vocabulary=300, min_count=1)
    return save(path, tokenizer)


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "tiny")


def save(folder, tokenizer):
    content = json.loads((folder / "config.json").read_text())
    content["vocab_size"] = tokenizer.size
    (folder / "model.safetensors").unlink()
    (folder / "config.json").write_text(json.dumps(content))
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(0)
    AutoModel.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer.to_json())
    return folder


def config(folder, **training):
    encoder = {"type": "pretrained", "path": str(folder)}
    return {
        "data": {"split": {"column": "fold"}},
        "inputs": {
            "review": {"type": "text", "tokenizer": str(folder), "encoder": encoder},
            "age": "number",
        },
        "tasks": {"happy": "classification"},
        "training": {"epochs": 3, "batch_size": 16, "freeze": ["pretrained"], **training},
    }


def of_words(folder, **training):
    found = config(folder, **training)
    found["inputs"]["words"] = {**found["inputs"].pop("review"), "split": "spaces"}
    tags = {"type": "sequence_labelling", "head": {"type": "mlp"}, "decoder": "lstm"}
    return {**found, "tasks": {**found["tasks"], "tags": tags}}


def train(config, rows, output, *overrides):
    """Train, and return the run with the lines about the cache."""
    lines = []
    run = motet.train(config, rows, overrides, output, say=lines.append)
    return run, [line for line in lines if "frozen encoder" in line]


def assert_like(run, other):
    for (name, ours), theirs in zip(
        run.model.state_dict().items(), other.model.state_dict().values(), strict=True
    ):
        assert_close(ours, theirs, rtol=1e-4, atol=1e-5, msg=name)
    for record, expected in zip(run.history, other.history, strict=True):
        for task, values in record["tasks"].items():
            assert values == pytest.approx(expected["tasks"][task], abs=1e-4, nan_ok=True)


@pytest.fixture
def calls(monkeypatch):
    """How many texts the encoder was given, forward pass by forward pass."""
    found = []
    forward = Pretrained.forward

    def counting(self, text):
        found.append(len(text["ids"]))
        return forward(self, text)

    monkeypatch.setattr(Pretrained, "forward", counting)
    monkeypatch.setattr("motet.run.card.model_lines", lambda prepared: [])  # encodes rows, too
    return found


@pytest.mark.parametrize("make", others_slow([of_words], [config, of_words]))
def test_a_run_ends_as_without_the_cache_and_encodes_each_text_once(
    make, rows, folder, cache, tmp_path, calls
):
    run, lines = train(make(folder), rows, tmp_path / "run")
    assert sum(calls) == len(rows)
    plain, none = train(make(folder), rows, tmp_path / "plain", OFF)
    assert_like(run, plain)
    assert none == []
    (line,) = lines
    (file,) = cache.iterdir()
    pattern = (
        r"cache +\w+: 90 texts by a frozen encoder, computed once in \d+\.\d s \(0\.\d MB in (.*)\)"
    )
    assert re.fullmatch(pattern, line)[1] == str(file)
    ours, theirs = (each / "predictions" / "test.parquet" for each in (run.path, plain.path))
    ours, theirs = (pq.read_table(each) for each in (ours, theirs))
    assert ours["happy"].equals(theirs["happy"])


def test_the_next_run_finds_the_file_however_rows_are_split(rows, folder, cache, tmp_path, calls):
    train(config(folder), rows, tmp_path / "one")
    calls.clear()
    seed = config(folder, seed=5) | {"data": {"split": {"seed": 3}}}
    again = rows.drop_columns("fold")
    run, (line,) = train(seed, again, tmp_path / "two")
    assert sum(calls) == frozen_states._CHECKED
    assert ", found (" in line
    assert len(list(cache.iterdir())) == 1
    assert_like(run, train(seed, again, tmp_path / "plain", OFF)[0])


def test_a_teacher_reads_the_file_that_its_run_wrote(rows, folder, cache, tmp_path, calls):
    teacher, _ = train(config(folder), rows, tmp_path / "teacher")
    calls.clear()
    taught = config(folder, teachers=[str(teacher.path)])
    student, _ = train(taught, rows, tmp_path / "student")
    assert sum(calls) == 2 * frozen_states._CHECKED  # one reads the file for itself, one to teach
    assert len(list(cache.iterdir())) == 1
    assert_like(student, train(taught, rows, tmp_path / "plain", OFF)[0])


def test_models_that_are_tested_on_the_same_rows_read_one_file(
    rows, folder, cache, tmp_path, calls
):
    first, _ = train(config(folder, epochs=1), rows, tmp_path / "one")
    second, _ = train(config(folder, epochs=1, seed=7), rows, tmp_path / "two")
    tested = rows.filter(pc.equal(rows["fold"], "test"))
    calls.clear()
    ours, theirs = (scored(motet.load(run.path), tested, ["happy"]) for run in (first, second))
    assert sum(calls) == len(tested) + frozen_states._CHECKED
    for run, found in ((first, ours), (second, theirs)):
        predicted = run.predict(tested)["happy_probability_1"].to_numpy()
        assert found["happy"].prediction.probabilities[:, 1].numpy() == pytest.approx(predicted)


def test_other_texts_weights_or_pooling_have_a_file_of_their_own(rows, folder, cache, tmp_path):
    train(config(folder, epochs=1), rows, tmp_path / "one")
    train(config(folder, epochs=1), rows.slice(0, 80), tmp_path / "two")
    train(config(folder, epochs=1), rows, tmp_path / "three", "inputs.review.encoder.pool=max")
    tensors = load_file(folder / "model.safetensors")
    tensors["embeddings.word_embeddings.weight"][5] += 0.1
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    train(config(folder, epochs=1), rows, tmp_path / "four")
    assert len(list(cache.iterdir())) == 4


@pytest.mark.parametrize("damage", others_slow(["changed"], ["cut", "changed", "empty"]))
def test_a_damaged_file_is_noticed_and_computed_anew(damage, rows, folder, cache, tmp_path):
    run, _ = train(config(folder), rows, tmp_path / "one")
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    changed = whole[:-40] + bytes(4) + whole[-36:]
    file.write_bytes({"cut": whole[:-100], "changed": changed, "empty": b""}[damage])
    again, (line,) = train(config(folder), rows, tmp_path / "two")
    assert "computed again, as the file was damaged, in" in line
    assert_like(again, run)
    assert_close(load_file(file), load(whole), rtol=0, atol=0)


def test_a_file_of_an_encoder_whose_code_was_changed_is_not_used(
    rows, folder, cache, tmp_path, monkeypatch
):
    train(config(folder, epochs=1), rows, tmp_path / "one")
    forward = Pretrained.forward
    monkeypatch.setattr(
        Pretrained,
        "forward",
        lambda self, text: TokenStates(*(1.1 * t for t in forward(self, text))),
    )
    _, (line,) = train(config(folder, epochs=1), rows, tmp_path / "two")
    assert "again, as the encoder now gives other states" in line


@pytest.mark.parametrize(
    "training",
    [
        {"unfreeze": [{"epoch": 3, "parts": ["*.layer.2"]}]},
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in ({"unfreeze": {"every": 1}}, {"freeze": ["*.embeddings"]}, {"freeze": []})
        ),
    ],
)
def test_an_encoder_that_is_ever_trained_is_computed_every_time(
    training, rows, folder, cache, tmp_path, calls
):
    _, lines = train(config(folder, **training), rows, tmp_path / "run")
    assert lines == []
    assert sum(calls) > 3 * 63
    assert not cache.exists()
    with pytest.raises(ConfigError, match=r"training\.cache_frozen: no text encoder is froz"):
        train(config(folder, cache_frozen=True, **training), rows, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (["training.frozen=training"], "with frozen: training its dropout stays active"),
        pytest.param(
            ["training.precision=bfloat16"],
            "training in bfloat16 and evaluation in float32 need",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["model.sharing=soft"], "this sharing scheme copies it", marks=pytest.mark.slow
        ),
    ],
)
def test_where_it_cannot_be_done_the_reason_is_told(
    changes, reason, rows, folder, cache, tmp_path, monkeypatch
):
    made = config(folder, epochs=1) | {"tasks": {"happy": "classification", "age": "regression"}}
    del made["inputs"]["age"]
    _, (line,) = train(made, rows, tmp_path / "run", *changes)
    assert line.startswith("note       review: its frozen encoder runs in every epoch: ")
    assert reason in line
    with pytest.raises(ConfigError, match=reason):
        check(made, data=rows, overrides=[*changes, "training.cache_frozen=true"])
    assert not cache.exists()


def test_states_that_take_too_much_are_kept_only_if_told(
    rows, folder, cache, tmp_path, monkeypatch
):
    monkeypatch.setattr(frozen_states, "LARGEST", 5000)
    _, (line,) = train(config(folder, epochs=1), rows, tmp_path / "one")
    assert "its states take 0.0 MB; cache_frozen: true stores them anyway" in line
    _, (line,) = train(
        config(folder, epochs=1), rows, tmp_path / "two", "training.cache_frozen=true"
    )
    assert "computed once" in line


def test_a_run_that_was_stopped_ends_bit_for_bit_as_one_that_was_not(
    rows, folder, cache, tmp_path, monkeypatch, calls
):
    whole, _ = train(of_words(folder), rows, tmp_path / "whole")
    step = motet.Trainer.train_step

    def dying(self, batch):
        if self.step == 7:
            raise RuntimeError("power cut")
        return step(self, batch)

    for name, expected in {"kept": frozen_states._CHECKED, "gone": len(rows)}.items():
        with monkeypatch.context() as patched:
            patched.setattr(motet.Trainer, "train_step", dying)
            with pytest.raises(RuntimeError, match="power cut"):
                train(of_words(folder), rows, tmp_path / name)
        if name == "gone":
            shutil.rmtree(cache)
        calls.clear()
        parts = motet.resume(tmp_path / name, rows)
        assert sum(calls) == expected
        files = [each.path / "model" / "model.safetensors" for each in (whole, parts)]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_a_run_predicts_and_judges_without_the_cache(rows, folder, cache, tmp_path):
    run, _ = train(of_words(folder), rows, tmp_path / "run")
    test = rows.filter(pc.equal(rows["fold"], "test"))
    kept = pq.read_table(run.path / "predictions" / "test.parquet")
    shutil.rmtree(cache)
    shutil.rmtree(folder)
    found = motet.load(tmp_path / "run").predict(test)
    assert found["tags"].equals(kept["tags"])
    score = json.loads((run.path / "metrics.jsonl").read_text().splitlines()[-1])["score"]
    assert motet.load(tmp_path / "run").evaluate(test)["score"] == pytest.approx(score, abs=1e-4)
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(rows, folder, cache, tmp_path):
    cache.parent.write_text("a file, where the folder should be")
    run, (line,) = train(config(folder), rows, tmp_path / "run")
    assert f"(in memory: {cache}/" in line
    assert "cannot be written: Not a directory)" in line
    assert_like(run, train(config(folder), rows, tmp_path / "plain", OFF)[0])


def test_a_cache_that_cannot_be_looked_into_is_no_reason_to_stop(
    rows, folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("MOTET_CACHE", str(tmp_path / ("long" * 100)))
    _, (line,) = train(config(folder, epochs=1), rows, tmp_path / "run")
    assert "cannot be written: File name too long)" in line


def test_a_file_that_somebody_removes_at_once_is_no_reason_to_stop(
    rows, folder, cache, tmp_path, monkeypatch
):
    write = frozen_states.write_checkpoint

    def removed(path, *content):
        write(path, *content)
        path.unlink()

    monkeypatch.setattr(frozen_states, "write_checkpoint", removed)
    _, (line,) = train(config(folder, epochs=1), rows, tmp_path / "run")
    assert "computed once" in line
    assert "(in memory: " in line


def test_files_that_no_run_used_for_long_are_removed(rows, folder, cache, tmp_path):
    cache.mkdir(parents=True)
    for name, days in (("old", 31), (".half-written", 31), ("young", 29)):
        (cache / f"{name}.safetensors").touch()
        os.utime(cache / f"{name}.safetensors", (time.time() - days * 24 * 3600,) * 2)
    train(config(folder, epochs=1), rows, tmp_path / "one")
    assert len(list(cache.iterdir())) == 2
    (file,) = (each for each in cache.iterdir() if each.stem != "young")
    os.utime(file, (0, 0))
    train(config(folder, epochs=1), rows, tmp_path / "two")  # uses it
    assert time.time() - file.stat().st_mtime < 24 * 3600


def test_files_take_at_most_so_much_and_those_used_longest_ago_go_first(
    rows, folder, cache, tmp_path, monkeypatch
):
    train(config(folder, epochs=1), rows, tmp_path / "one")
    (first,) = cache.iterdir()
    os.utime(first, (time.time() - 100,) * 2)
    monkeypatch.setattr(kept, "LARGEST_TOTAL", 2.5 * first.stat().st_size)
    train(config(folder, epochs=1), rows.slice(1), tmp_path / "two")
    assert first.exists()
    train(config(folder, epochs=1), rows.slice(2), tmp_path / "three")
    assert not first.exists()
    assert len(list(cache.iterdir())) == 2
    assert sum(each.stat().st_size for each in cache.iterdir()) <= kept.LARGEST_TOTAL
    (_, second) = (entry.path for entry in kept.entries())
    monkeypatch.setattr(kept, "LARGEST_TOTAL", 10)
    train(config(folder, epochs=1), rows.slice(3), tmp_path / "four")
    assert not second.exists()
    assert len(list(cache.iterdir())) == 1  # it lies there alone


def test_the_first_lines_say_what_is_kept_where_and_how_to_be_rid_of_it(
    rows, folder, cache, tmp_path
):
    from motet.run import build_trainer, training_lines

    prepared = check(config(folder), data=rows)
    found = list(training_lines(prepared, build_trainer(prepared)))
    place = next(place for place, line in enumerate(found) if line.startswith("cache"))
    first, second = found[place : place + 2]
    assert first.startswith("cache      review: 0.0 MB of states are kept for later runs in ")
    assert first.endswith(str(cache))
    assert "0 files, 0.0 MB of at most 10.0 GB; see motet cache, and cache_frozen: false" in second
    prepared = check(config(folder), data=rows, overrides=[OFF])
    assert "cache" not in "".join(training_lines(prepared, build_trainer(prepared)))
    lines = []
    motet.train(config(folder), rows, [], tmp_path / "run", say=lines.append)
    place = lines.index(first)
    assert "computed once" not in "".join(lines[:place])


def test_the_cache_is_listed_and_cleared(rows, folder, cache, tmp_path):
    train(config(folder, epochs=1), rows, tmp_path / "one")
    (file,) = cache.iterdir()
    lines = list(kept.cache_lines())
    assert lines[0].endswith(f" MB  {file}")
    assert lines[-1] == f"1 file, 0.0 MB of at most 10.0 GB in {cache}"
    assert [entry.path for entry in kept.clear()] == [file]
    assert list(cache.iterdir()) == []
    assert list(kept.cache_lines()) == [f"0 files, 0.0 MB of at most 10.0 GB in {cache}"]


def test_a_file_of_another_format_is_not_used(rows, folder, cache, tmp_path, monkeypatch):
    train(config(folder, epochs=1), rows, tmp_path / "one")
    monkeypatch.setattr(frozen_states, "_FORMAT", 0)
    _, (line,) = train(config(folder, epochs=1), rows, tmp_path / "two")
    assert "computed once" in line
    assert len(list(cache.iterdir())) == 2


def test_ctrl_c_while_texts_are_encoded_names_the_command_to_continue(
    rows, folder, cache, tmp_path, monkeypatch
):
    whole, _ = train(config(folder), rows, tmp_path / "whole", OFF)
    lines = []

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(frozen_states, "states_of", interrupted)
        with pytest.raises(KeyboardInterrupt):
            motet.train(config(folder), rows, [], tmp_path / "run", say=lines.append)
    assert lines[-1] == f"stopped    at step 0; continue with: motet resume {tmp_path / 'run'}"
    assert_like(motet.resume(tmp_path / "run", rows), whole)


def test_two_threads_may_compute_the_same_states_at_the_same_time(
    rows, folder, cache, tmp_path, monkeypatch
):
    write, barrier = frozen_states.write_checkpoint, threading.Barrier(2, timeout=60)

    def together(*content):
        barrier.wait()
        write(*content)

    monkeypatch.setattr(frozen_states, "write_checkpoint", together)
    said, errors = [], []

    def run(name):
        try:
            said.extend(train(config(folder, epochs=1), rows, tmp_path / name)[1])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(said) == 2
    assert all("in memory" not in line for line in said)
    assert len(list(cache.iterdir())) == 1


def test_an_encoder_that_only_some_inputs_have_is_cached_beside_one_that_learns(
    rows, folder, cache, tmp_path, calls
):
    made = of_words(folder)
    made["inputs"]["review"] = {"type": "text", "tokenizer": "words", "encoder": {"width": 8}}
    made["training"]["accumulate"] = 3
    made["model"] = {"sharing": {"type": "hard", "shared_width": 8}}
    made["balancing"] = "pcgrad"
    run, lines = train(made, rows, tmp_path / "run")
    assert sum(calls) == len(rows)
    assert len(lines) == 1
    assert_like(run, train(made, rows, tmp_path / "plain", OFF)[0])


def test_an_encoder_with_first_weights_is_cached_where_it_is_frozen(rows, cache, tmp_path):
    made = of_words("words", freeze=["sharing.stages.0.encoders"])
    made["inputs"]["words"]["encoder"] = {"type": "lstm", "width": 8, "dropout": 0.5}
    run, (line,) = train(made, rows, tmp_path / "run")
    assert "computed once" in line
    assert_like(run, train(made, rows, tmp_path / "plain", OFF)[0])


def test_states_do_not_depend_on_what_texts_are_encoded_together(monkeypatch):
    from motet.data.ragged import Ragged

    torch.manual_seed(0)
    encoder = LSTM(20, width=4, dropout=0.5)
    ids = [[3, 4, 5], [], [6], [7, 8, 9, 10], [11, 12]] * 3
    places = [[0, 2], [], [0], [0, 1, 1], [1]] * 3
    text = {"ids": Ragged.of(ids, fill=0), "words": Ragged.of(places, fill=-1)}
    monkeypatch.setattr(precomputing, "ROWS", 2)
    told = []
    found = precomputing.states_of(encoder, text, words=True, progress=told.append)
    assert told == [2, 4, 6, 8, 10, 12, 14, 15]
    states = found["states"].split([len(row) for row in places])
    for row in range(15):
        alone = encoder({name: part[row : row + 1] for name, part in text.items()})
        assert_close(found["pooled"][row], alone.pooled[0])
        assert_close(states[row], alone.states[0][: len(places[row])])


@pytest.mark.slow
@needs_minilm
@pytest.mark.parametrize("pool", ["mean", "first"])
def test_a_real_encoder_gives_what_it_gives_without_the_cache(pool, rows, cache, tmp_path):
    made = config(minilm_dir(), epochs=1)
    made["inputs"]["review"]["encoder"] |= {"pool": pool, "layers": 2}
    run, (line,) = train(made, rows, tmp_path / "run")
    assert "computed once" in line
    assert_like(run, train(made, rows, tmp_path / "plain", OFF)[0])
