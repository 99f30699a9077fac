"""Evaluation over a whole split, and scores against predictors that ignore the inputs."""

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from torch import nn

from motet.data.arrays import ArrayData
from motet.data.ragged import Ragged
from motet.encoders import LSTM
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import Classification, MultiLabel, Regression, SequenceLabelling
from motet.training import Trainer
from motet.training.evaluation import embed

RNG = np.random.default_rng(0)
X = RNG.normal(size=(97, 5)).astype(np.float32)
KIND = (X[:, 0] > 0.3).astype(np.int64) + (X[:, 1] > 0.8)
KIND[::4] = -100
SPEND = X[:, 2] * 3 + 7
SPEND[1::3] = np.nan
TAGS = (X[:, 3:] > 0).astype(np.float32)
TAGS[2::5, 0] = np.nan
TARGETS = {"kind": KIND, "spend": SPEND, "tags": TAGS}
HALF = (X[:50], {task: y[:50] for task, y in TARGETS.items()})
REST = (X[50:], {task: y[50:] for task, y in TARGETS.items()})


def made(**options):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(0.5))
    tasks = [
        Classification("kind", classes=3),
        Regression("spend", **options),
        MultiLabel("tags", classes=2),
    ]
    return MultiTaskModel(encoder, tasks)


def trained(batch_size=16, **options):
    trainer = Trainer(made(**options), learning_rate=0.02, batch_size=batch_size)
    trainer.fit(HALF, epochs=5)
    return trainer


def test_metrics_over_a_split_are_the_same_whatever_the_batch_size():
    trainer = trained()
    reports = []
    for size in (1, 7, 47, 1000):
        trainer.batch_size = size
        reports.append(trainer.evaluate(REST))
    for report in reports[1:]:
        assert list(report) == list(reports[0])
        for task in TARGETS:
            assert report[task] == pytest.approx(reports[0][task], rel=1e-5)
        assert report["score"] == pytest.approx(reports[0]["score"], rel=1e-5)


def test_metrics_are_those_of_scikit_learn_on_labelled_rows():
    trainer = trained()
    report = trainer.evaluate(REST)
    predicted = trainer.predict(REST[0])
    known = REST[1]["kind"] >= 0
    kinds, guesses = REST[1]["kind"][known], predicted["kind"][known]
    assert report["kind"]["accuracy"] == pytest.approx(reference.accuracy_score(kinds, guesses))
    assert report["kind"]["macro_f1"] == pytest.approx(
        reference.f1_score(kinds, guesses, average="macro")
    )
    known = ~np.isnan(REST[1]["spend"])
    spends, values = REST[1]["spend"][known], predicted["spend"][known]
    assert report["spend"]["r2"] == pytest.approx(reference.r2_score(spends, values), rel=1e-5)
    assert report["spend"]["mae"] == pytest.approx(np.abs(spends - values).mean(), rel=1e-5)
    assert report["spend"]["count"] == known.sum()


def test_scores_are_places_between_the_trivial_predictor_and_perfection():
    trainer = trained()
    report = trainer.evaluate(REST)
    known = REST[1]["kind"] >= 0
    labels = HALF[1]["kind"][HALF[1]["kind"] >= 0]
    majority = np.bincount(labels).argmax()
    trivial = (REST[1]["kind"][known] == majority).mean()
    assert report.trivial["kind"]["accuracy"] == pytest.approx(trivial)
    expected = (report["kind"]["accuracy"] - trivial) / (1 - trivial)
    assert report.scores["kind"] == pytest.approx(expected)

    spends = REST[1]["spend"][~np.isnan(REST[1]["spend"])]
    mean = np.nanmean(HALF[1]["spend"])
    trivial = 1 - ((spends - mean) ** 2).sum() / ((spends - spends.mean()) ** 2).sum()
    assert report.trivial["spend"]["r2"] == pytest.approx(trivial, rel=1e-4)
    median = np.nanmedian(HALF[1]["spend"])
    assert report.trivial["spend"]["mae"] == pytest.approx(np.abs(spends - median).mean(), rel=0.03)
    assert report["score"] == pytest.approx(np.mean(list(report.scores.values())))
    assert report.worst == min(report.scores.values())


def test_main_tasks_alone_make_the_score():
    report = trained(main=True).evaluate(REST)
    assert report["score"] == report.worst == report.scores["spend"]
    assert set(report.scores) == set(TARGETS)


def test_without_training_labels_to_compare_with_there_is_no_score():
    report = Trainer(made(), batch_size=16).evaluate(REST)
    assert report["kind"]["accuracy"] >= 0
    assert math.isnan(report["score"])


def test_only_enabled_tasks_with_targets_are_evaluated():
    trainer = trained()
    trainer.model.disable_task("kind")
    report = trainer.evaluate((X, {"kind": KIND, "spend": SPEND}))
    assert list(report) == ["spend", "score"]
    assert list(trainer.predict(X)) == ["spend", "tags"]


def test_a_task_without_any_label_has_nan_and_says_why():
    trainer = trained()
    report = trainer.evaluate((X, {"kind": np.full(97, -100), "spend": SPEND}))
    assert report["kind"]["count"] == 0
    assert math.isnan(report["kind"]["accuracy"])
    assert report.notes["kind.accuracy"] == "no row has a label"
    assert report["score"] == report.scores["spend"]


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_is_without_dropout_and_gives_the_mode_back(training):
    trainer = trained()
    trainer.model.train(training)
    assert trainer.evaluate(REST) == trainer.evaluate(REST)
    np.testing.assert_array_equal(trainer.predict(X)["spend"], trainer.predict(X)["spend"])
    assert all(module.training == training for module in trainer.model.modules())


def test_evaluation_leaves_no_gradient_and_changes_no_weight():
    trainer = trained()
    trainer.optimizer.zero_grad()
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.evaluate(REST)
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, before[name])


def test_metrics_may_be_chosen_for_the_trainer():
    trainer = Trainer(made(), metrics={"kind": ["log_loss"]})
    assert list(trainer.evaluate(REST)["kind"]) == ["log_loss", "loss", "count"]
    with pytest.raises(InputError, match="did you mean 'kind'"):
        Trainer(made(), metrics={"kinds": ["log_loss"]}).fit(HALF, epochs=1)


# Rows of different length ----------------------------------------------------------------------

WORDS = [RNG.integers(1, 9, RNG.integers(1, 12)).tolist() for _ in range(41)]
LENGTHS = np.array([len(row) for row in WORDS])
SLOTS = np.full((41, 11), -100)
for place, row in enumerate(WORDS):
    SLOTS[place, : len(row)] = [word % 3 for word in row]


def reader():
    torch.manual_seed(0)
    tasks = [Regression("length"), SequenceLabelling("slots", classes=["x", "y", "z"])]
    return MultiTaskModel(LSTM(9, width=6), tasks)


def texts(rows=slice(None)):
    targets = {"length": LENGTHS[rows].astype(np.float32), "slots": SLOTS[rows]}
    return ArrayData({"ids": Ragged.of(WORDS[rows], fill=0)}, targets)


def test_texts_are_evaluated_in_batches_of_like_length_that_shrink():
    model, seen = reader(), []
    model.register_forward_pre_hook(lambda _, given: seen.append(given[0]["ids"].shape[1]))
    Trainer(model, batch_size=8).evaluate(texts())
    assert seen == sorted(LENGTHS, reverse=True)[::8]


def test_predictions_and_embeddings_of_texts_are_in_the_order_of_the_rows():
    trainer = Trainer(reader(), batch_size=8)
    found = trainer.predict(texts())
    states = embed(trainer.model, texts(), batch_size=8, tasks=["length"])
    assert found["slots"].shape == SLOTS.shape
    for place, row in enumerate(WORDS):
        alone = texts(slice(place, place + 1))
        expected = trainer.predict(alone)
        assert found["length"][place] == pytest.approx(expected["length"][0], rel=1e-4)
        assert found["slots"][place, : len(row)].tolist() == expected["slots"][0].tolist()
        assert (found["slots"][place, len(row) :] == -100).all()
        state = embed(trainer.model, alone, batch_size=8, tasks=["length"])
        torch.testing.assert_close(states[place : place + 1], state)


def test_metrics_of_texts_are_those_of_one_batch_and_are_given_rows_in_order():
    given = []

    def keep(predictions, targets):
        given.append((predictions, targets))
        return 0.0

    metrics = {"length": ["rmse", keep], "slots": ["token_accuracy", keep]}
    trainer = Trainer(reader(), batch_size=8, metrics=metrics)
    report = trainer.evaluate(texts())
    trainer.batch_size = 41
    whole = trainer.evaluate(texts())
    for task in ("length", "slots"):
        assert report[task] == pytest.approx(whole[task], rel=1e-4)
    np.testing.assert_array_equal(given[0][1].ravel(), LENGTHS)
    np.testing.assert_allclose(given[0][0].ravel(), trainer.predict(texts())["length"], rtol=1e-4)
    np.testing.assert_array_equal(given[1][1], SLOTS)


def test_an_evaluation_that_fails_leaves_the_model_as_it_was():
    trainer = trained()
    trainer.model.train()
    with pytest.raises(InputError, match=r"encoder failed on a tensor \(.*, 4\).*shapes"):
        trainer.evaluate((X[:, :4], {"kind": KIND}))
    assert trainer.model.training
    assert not torch.is_inference_mode_enabled()
