"""The built-in auxiliary tasks in runs: trained, evaluated, saved, resumed, and explained."""

import numpy as np
import pytest

import motet

WORDS = [f"w{number}" for number in range(40)]


def table(count=160):
    rng = np.random.default_rng(0)
    draw = lambda: " ".join(rng.choice(WORDS, rng.integers(4, 12)))  # noqa: E731
    title, body = [draw() for _ in range(count)], [draw() for _ in range(count)]
    price = rng.normal(size=count)
    price[::9] = np.nan
    return {
        "title": title,
        "body": body,
        "price": price,
        "shop": rng.choice(["a", "b", "c"], count),
        "good": [None if row % 3 == 1 else len(text) > 25 for row, text in enumerate(body)],
        "stars": rng.normal(size=count),
    }


TEXT = {"type": "text", "tokenizer": "words", "encoder": {"type": "lstm", "width": 8}}
FORWARD = {**TEXT, "encoder": {"type": "lstm", "width": 8, "bidirectional": False}}
PAIR = {**FORWARD, "columns": ["title", "body"]}
TASKS = {"good": "classification", "stars": "regression"}


def config(inputs, tasks, **training):
    return {
        "inputs": inputs,
        "tasks": {**TASKS, **tasks},
        "training": {"epochs": 3, "batch_size": 32, **training},
    }


ALL = config(
    {"both": PAIR, "price": "number", "shop": "category"},
    {
        "words": {"type": "masked_language_modelling", "frequency": {"every": 3}},
        "following": {"type": "language_modelling", "frequency": {"probability": 0.7}},
        "places": {"type": "word_order", "frequency": {"epochs": [2, 3]}},
        "next": {"type": "next_sentence", "weight": 0.5},
        "order": {"type": "sentence_order", "balanced": True},
        "cells": {"type": "denoising", "scored": "corrupted"},
    },
    checkpoint_every=2,
)
AUXILIARY = set(ALL["tasks"]) - set(TASKS)


def test_all_of_them_train_in_one_run_and_are_left_out_of_predictions(tmp_path):
    lines = []
    run = motet.train(ALL, table(), output=tmp_path / "run", say=lines.append)
    start = next(place for place, line in enumerate(lines) if line.startswith("auxiliary"))
    words, *_, order, cells = (" ".join(line.split()) for line in lines[start : start + 6])
    assert words.endswith(
        "words masked_language_modelling at every 3rd main step weight 1, beside the balancer"
    )
    assert order == "order sentence_order at every step weight 1, balanced"
    assert cells == "cells denoising at every step weight 1, beside the balancer"
    card = (run.path / "model" / "README.md").read_text()
    assert card.startswith("# A model for good, stars\n")
    for name in AUXILIARY:
        losses = run.history.curve(name, "loss", "validation")
        assert len(losses) == 3
        assert np.isfinite(losses).all()
    loaded = motet.load(run.path)
    report = loaded.evaluate(table(), split="test")
    assert set(report["words"]) == {"loss", "count"}
    assert set(report) == {*ALL["tasks"], "score"}
    predicted = loaded.predict(table())
    assert not AUXILIARY & {name.split("_")[0] for name in predicted.column_names}
    assert predicted == run.predict(table())
    assert loaded.model.tasks["words"].outputs == loaded.model.tasks["following"].outputs > 40


@pytest.mark.slow
def test_a_run_that_was_killed_in_mid_epoch_ends_as_if_it_had_not_been(tmp_path, monkeypatch):
    whole = motet.train(ALL, table(), output=tmp_path / "whole")
    step, after = motet.Trainer.train_step, []

    def stop(self, batch):
        after.append(1)
        self.stop_requested = len(after) == 5
        return step(self, batch)

    with monkeypatch.context() as patched:
        patched.setattr(motet.Trainer, "train_step", stop)
        with pytest.raises(KeyboardInterrupt):
            motet.train(ALL, table(), output=tmp_path / "parts")
    parts = motet.resume(tmp_path / "parts", table())
    for ours, theirs in zip(parts.model.parameters(), whole.model.parameters(), strict=True):
        assert ours.equal(theirs)


def test_rows_without_any_label_serve_them(tmp_path):
    rows = table()
    rows["good"] = [None] * 120 + rows["good"][120:]
    rows["stars"] = [None] * 120 + list(rows["stars"][120:])
    tasks = {"words": {"type": "masked_language_modelling", "share": 1.0}}
    chosen = config({"body": TEXT}, tasks, epochs=1, batch_size=160)
    chosen["data"] = {"split": {"column": "part"}}
    rows["part"] = (["train"] * 3 + ["validation"]) * 40
    rows["part"][-1] = "test"
    seen = []
    step = motet.Trainer.train_step
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            motet.Trainer, "train_step", lambda self, b: seen.append(step(self, b)) or seen[-1]
        )
        motet.train(chosen, rows, output=tmp_path / "run")
    (result,) = seen
    assert set(result.losses) == {"good", "stars", "words"}
    batch = [text for text, part in zip(rows["body"], rows["part"], strict=True) if part == "train"]
    assert len(batch) >= 119
    run = motet.load(tmp_path / "run")
    record = next(r for r in run.history if r["split"] == "train")
    assert record["tasks"]["words"]["loss"] == pytest.approx(result.losses["words"].item())


def test_the_text_is_chosen_where_there_are_several(tmp_path):
    inputs = {"title": TEXT, "body": {**TEXT, "tokenizer": "wordpiece"}}
    words = {"type": "masked_language_modelling", "input": "body"}
    run = motet.train(config(inputs, {"words": words}, epochs=1), table(), output=tmp_path / "run")
    encoders = run.model.sharing.stages[0].encoders
    assert run.model.tasks["words"].outputs == encoders[1].embedding.tokens.num_embeddings


SMALL = {"type": "transformer", "width": 8, "heads": 2, "layers": 1}


@pytest.mark.parametrize(
    ("encoder", "sharing", "task"),
    [
        (SMALL, "hard", "language_modelling"),
        (SMALL, {"type": "mmoe", "experts": 2, "expert_width": 8}, "masked_language_modelling"),
        ({**SMALL, "positions": "learned", "max_length": 40}, "hard", "word_order"),
        ({"type": "lstm", "width": 8}, "soft", "masked_language_modelling"),
    ],
)
def test_encoders_and_sharing_schemes_that_fit(encoder, sharing, task, tmp_path):
    chosen = config({"body": {**TEXT, "encoder": encoder}}, {"x": {"type": task}}, epochs=1)
    chosen["model"] = {"sharing": sharing}
    run = motet.train(chosen, table(64), output=tmp_path / "run")
    assert run.history.curve("x", "loss")[0] > 0


NUMBERS = {"price": "number"}


@pytest.mark.parametrize(
    ("inputs", "task", "message"),
    [
        (
            {"title": TEXT, "body": TEXT},
            {"type": "masked_language_modelling"},
            r"tasks\.x: several inputs are texts: title, body; choose one, for example input",
        ),
        (
            {"title": TEXT, "body": TEXT},
            {"type": "word_order", "input": "bdy"},
            r"tasks\.x\.input: found 'bdy', which is not a text; did you mean 'body'",
        ),
        (
            NUMBERS,
            {"type": "masked_language_modelling"},
            r"tasks\.x: masked_language_modelling reads a text, and no input is one",
        ),
        (
            {"body": TEXT},
            {"type": "sentence_order"},
            r"tasks\.x: sentence_order compares two texts of a row, and input 'body' has one",
        ),
        (
            {"body": TEXT},
            {"type": "denoising"},
            r"tasks\.x: denoising restores cells of a table, and no input is a number",
        ),
        (
            {"body": TEXT},
            {"type": "language_modelling"},
            r"model: task 'x' predicts tokens from those before them, but the encoder LSTM reads",
        ),
        (
            {"body": TEXT},
            {"type": "word_order", "frequency": {"every": 100}},
            r"tasks\.x\.frequency: found every: 100, but the steps of training are 12 \(epochs: 3",
        ),
        (
            {"body": TEXT},
            {"type": "word_order", "frequency": {"epochs": [4, 5]}},
            r"tasks\.x\.frequency: found \[4, 5\], but training ends after epoch 3",
        ),
        (
            {"body": TEXT},
            {"type": "word_order", "frequency": {"probability": 2}},
            r"tasks\.x\.frequency\.probability: found 2, expected a number <= 1",
        ),
        (
            {"body": TEXT},
            {"type": "word_order", "frequency": "sometimes"},
            r"tasks\.x\.frequency: found 'sometimes', expected always, {every: n}",
        ),
        (
            {"body": TEXT},
            {"type": "word_order", "frequency": {"evry": 3}},
            r"tasks\.x\.frequency\.evry: unknown key",
        ),
        (
            {"body": TEXT},
            {"type": "masked_language_modeling"},
            r"tasks\.x: found 'masked_language_modeling'.*did you mean 'masked_language_modelling'",
        ),
        (
            {"body": TEXT},
            {"type": "word_order", "column": "body"},
            r"tasks\.x\.column: unknown key",
        ),
    ],
)
def test_what_does_not_fit_is_explained_with_its_place(inputs, task, message):
    with pytest.raises(motet.InputError, match=message):
        motet.train(config(inputs, {"x": task}), table())


def test_two_texts_whose_tokens_are_predicted_are_rejected():
    tasks = {name: {"type": "word_order", "input": name} for name in ("title", "body")}
    renamed = {f"of_{name}": task for name, task in tasks.items()}
    with pytest.raises(
        motet.InputError, match=r"tasks read the words of several texts \(of_title of"
    ):
        motet.train(config({"title": TEXT, "body": TEXT}, renamed), table())
