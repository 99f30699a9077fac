"""What is watched: refused where the labels cannot give it, and ties are broken by the loss."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import Classification, Regression
from motet.training import Trainer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3)).astype(np.float32)
SIGN = (X[:, 0] > 0).astype(np.int64)
SIZE = X[:, 1]
TRAIN = (X[:80], {"sign": SIGN[:80], "size": SIZE[:80]})


def trainer(**options):
    torch.manual_seed(0)
    tasks = [Classification("sign", classes=2), Regression("size")]
    return Trainer(MultiTaskModel(nn.Linear(3, 8), tasks), batch_size=20, **options)


def validation(**labels):
    return X[80:], {"sign": SIGN[80:], "size": SIZE[80:], **labels}


# Known before the first step -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("monitor", "labels", "reason"),
    [
        ("sign", {"sign": np.full(40, -100)}, "sign: no row has a label"),
        ("sign", {"sign": np.ones(40, int)}, "sign: auroc is NaN: "),
        ("size", {"size": np.full(40, 3.0)}, "size: r2 is NaN: "),
        ("mean", {"sign": np.ones(40, int), "size": np.full(40, np.nan)}, "size: no row has a"),
    ],
)
def test_labels_that_cannot_give_the_monitored_value_are_refused_before_training(
    monitor, labels, reason
):
    made = trainer(monitor=monitor)
    with pytest.raises(
        InputError, match=r"monitor: found .*, which is not a number on the valid"
    ) as no:
        made.fit(TRAIN, validation(**labels), epochs=1)
    assert reason in str(no.value)
    assert "monitor: loss" in str(no.value)
    assert made.step == 0


def bias(predictions, targets):
    return float(np.mean(predictions - targets))


@pytest.mark.parametrize("monitor", ["mean", "worst", "size"])
def test_a_metric_without_a_best_value_cannot_be_watched(monitor):
    made = trainer(monitor=monitor, metrics={"size": [bias, "r2"]})
    with pytest.raises(
        InputError, match=r"score of 'size'.*first metric is 'bias': its best.*set bias\.best to"
    ):
        made.fit(TRAIN, validation(), epochs=1)
    assert made.step == 0


def test_a_metric_without_a_best_value_is_reported_and_why_it_gives_no_score():
    made = trainer(monitor="loss", metrics={"size": [bias]})
    made.fit(TRAIN, validation(), epochs=1)
    report = made.evaluate(validation())
    assert np.isfinite(report["size"]["bias"])
    assert report["score"] == report.scores["sign"]
    assert "its best value is not known, so it gives no score" in report.notes["size.bias"]
    later = trainer(metrics={"size": ["r2", bias]})
    later.fit(TRAIN, validation(), epochs=1)
    assert not later.evaluate(validation()).notes


def test_accuracy_among_labels_of_one_class_gives_no_score():
    made = trainer(monitor="sign", metrics={"sign": ["accuracy"]})
    most = int(SIGN[:80].mean() > 0.5)
    with pytest.raises(InputError, match="all labels are alike, so a constant has the best accur"):
        made.fit(TRAIN, validation(sign=np.full(40, most)), epochs=1)


@pytest.mark.parametrize("monitor", ["mean", "worst"])
def test_a_mean_that_leaves_tasks_out_says_over_how_many_it_is(monitor):
    made = trainer(monitor=monitor)
    with pytest.warns(UserWarning, match=f"'{monitor}', over 1 of 2 tasks: .* sign: auroc is NaN"):
        history = made.fit(TRAIN, validation(sign=np.ones(40, int)), epochs=1)
    assert history.records[-1]["monitored"] == made.evaluate(validation()).scores["size"]


def test_the_loss_may_be_watched_where_a_task_has_one_class():
    made = trainer(monitor="loss")
    made.fit(TRAIN, validation(sign=np.ones(40, int)), epochs=1)
    assert made.step == 4


def test_a_record_says_why_a_metric_is_nan():
    made = trainer(monitor="size")
    history = made.fit(TRAIN, validation(sign=np.ones(40, int)), epochs=1)
    record = history.records[-1]
    assert np.isnan(record["tasks"]["sign"]["auroc"])
    assert "undefined" in record["notes"]["sign.auroc"]


# Ties --------------------------------------------------------------------------------------------


def separable(patience=None):
    """Trained where every epoch orders the rows perfectly and only the loss still falls."""
    labels = np.arange(40) % 2
    inputs = np.stack([10.0 * labels - 5, np.ones(40)], axis=1).astype(np.float32)
    torch.manual_seed(0)
    model = MultiTaskModel(nn.Linear(2, 4), [Classification("sign", classes=2)])
    made = Trainer(model, batch_size=8, learning_rate=0.01, lr_schedule="constant", seed=1)
    made.patience = patience
    return made, (inputs, {"sign": labels})


def test_the_weights_kept_are_those_with_the_lowest_loss_among_equal_scores():
    made, data = separable()
    history = made.fit(data, data, epochs=6)
    records = [record for record in history if record["split"] == "validation"]
    assert [record["monitored"] for record in records[1:]] == [1.0] * 5
    losses = history.curve("sign")
    assert history.best_epoch == 6 == 1 + int(np.argmin(losses))
    assert made.evaluate(data)["sign"]["loss"] == pytest.approx(losses[-1])


def test_the_loss_of_the_best_survives_a_resume():
    made, data = separable()
    made.fit(data, data, epochs=4)
    tensors, header = made.state()
    tensors = {name: each.clone() for name, each in tensors.items()}
    again, _ = separable()
    again.load_state(tensors, json.loads(json.dumps(header)))
    assert again.progress == made.progress
    assert again.progress.best_loss == pytest.approx(min(made.history.curve("sign")))
