"""Runs whose taggers read the letters of words: what a word looks like says what it is."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch

import motet
from motet.data.blocks import Writer
from motet.data.inputs.text import Text

pytest.importorskip("tokenizers")


def rows(count, seed):
    """Random words, so that nearly all are unknown; those in capitals that end in "ville" count."""
    draws = np.random.default_rng(seed)

    def word():
        return "".join(draws.choice([*"abcdefghij"], 4))

    words, tags = [], []
    for _ in range(count):
        kinds = draws.integers(0, 3, 4)
        forms = [(w, w.title() + "ville", w + "ville")[k] for k in kinds for w in [word()]]
        words.append(forms)
        tags.append(["B-city" if kind == 1 else "O" for kind in kinds])
    return {"words": words, "slots": tags, "first": [row[0] for row in tags]}


TRAINING = {
    "epochs": 12,
    "batch_size": 16,
    "optimizer": {"learning_rate": 0.02},
    "device": "cpu",
}


def test_unknown_words_are_labelled_by_their_letters_and_case(tmp_path):
    encoder = {"type": "lstm", "width": 16, "characters": {"width": 16, "longest": 12}}
    words = {"type": "text", "tokenizer": "words", "min_count": 1, "encoder": encoder}
    config = {
        "inputs": {"words": words},
        "tasks": {
            "slots": "sequence_labelling",
            "first": "classification",
            "masked": {"type": "masked_language_modelling", "weight": 0.1},
        },
        "training": TRAINING,
    }
    run = motet.train(config, rows(160, 0), output=tmp_path / "run")
    later = rows(40, 1)
    found = motet.load(run.path / "model").predict({"words": later["words"]})
    pairs = [*zip(found["slots"].to_pylist(), later["slots"], strict=True)]
    right = np.concatenate([np.array(ours) == theirs for ours, theirs in pairs])
    assert right.mean() > 0.85  # the share of the most frequent tag is 2 / 3


def test_letters_and_n_grams_are_those_of_rows_in_memory_when_streamed(tmp_path):
    table = pa.table(rows(90, 0))
    inner = {"type": "lstm", "characters": {"longest": 5}}
    text = Text("words", tokenizer="words", encoder={"type": "bag+lstm", "lstm": inner})
    text.observe(table)
    text.finish()
    expected, _ = text.apply(table)
    assert {*expected} == {"ids", "words", "characters", "grams"}
    loaded = Text("words")
    loaded.load(json.loads(json.dumps(text.state())))
    with Writer(tmp_path / "rows", rows=40) as writer:
        for start in range(0, 90, 25):
            part = table.slice(start, 25)
            writer.add({"words": loaded.apply(part)[0]}, len(part))
        blocks = writer.finish()
    with blocks.reader() as reader:
        found = reader.rows(blocks.pieces(0, 90))["words"]
    for name, rows_of in expected.items():
        assert torch.equal(found[name].values, rows_of.values), name
        assert torch.equal(found[name].lengths, rows_of.lengths), name
