"""References: scikit-learn, over the whole split at once; values of methods.md 17.2 and 17.6."""

import math
from itertools import pairwise

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from hypothesis import given
from hypothesis import strategies as st

import motet
from motet.problems import InputError
from motet.registry import METRICS
from motet.tasks import (
    Classification,
    MultiLabel,
    Prediction,
    Regression,
    ScoredRows,
    Task,
    TaskMetrics,
    fit_trivial,
    score_trivial,
)

NAN = torch.nan
RNG = np.random.default_rng(0)
N = 203


def fed(task, raw, target, cuts=(3, 4, 100), **options):
    """Metrics fed in uneven batches."""
    metrics = TaskMetrics([task], **options)
    edges = [0, *cuts, len(raw)]
    for a, b in pairwise(edges):
        metrics.update({task.name: raw[a:b]}, {task.name: target[a:b]})
    return metrics


def shares(raw):
    return torch.tensor(raw).softmax(dim=-1).numpy()


CLASS_METRICS = ["accuracy", "macro_f1", "auroc", "average_precision", "log_loss"]


def test_metrics_of_several_classes_agree_with_scikit_learn_over_uneven_batches():
    raw = RNG.normal(size=(N, 4))
    y = RNG.integers(0, 4, size=N)
    found = fed(Classification("a", classes=4, metrics=CLASS_METRICS), raw, y).compute("a")
    p, hard = shares(raw), raw.argmax(axis=-1)
    assert found == pytest.approx(
        {
            "accuracy": sk.accuracy_score(y, hard),
            "macro_f1": sk.f1_score(y, hard, average="macro"),
            "auroc": sk.roc_auc_score(y, p, average="macro", multi_class="ovr"),
            "average_precision": sk.average_precision_score(y, p, average="macro"),
            "log_loss": sk.log_loss(y, p),
            "loss": sk.log_loss(y, p),
            "count": N,
        },
        abs=1e-6,
    )


def test_metrics_of_two_classes_agree_with_scikit_learn_and_leave_missing_rows_out():
    raw = RNG.normal(size=(N, 2))
    y = RNG.integers(0, 2, size=N).astype(float)
    y[::7] = np.nan
    metrics = fed(Classification("a", classes=2, metrics=CLASS_METRICS), raw, y)
    found, known = metrics.compute("a"), ~np.isnan(y)
    p, hard, y = shares(raw)[known], raw.argmax(axis=-1)[known], y[known]
    assert found == pytest.approx(
        {
            "accuracy": sk.accuracy_score(y, hard),
            "macro_f1": sk.f1_score(y, hard, average="macro"),
            "auroc": sk.roc_auc_score(y, p[:, 1]),
            "average_precision": sk.average_precision_score(y, p[:, 1]),
            "log_loss": sk.log_loss(y, p),
            "loss": sk.log_loss(y, p),
            "count": known.sum(),
        },
        abs=1e-6,
    )
    assert metrics.notes == {}


def test_metrics_of_labels_agree_with_scikit_learn_cell_by_cell():
    raw = RNG.normal(size=(N, 3))
    y = RNG.integers(0, 2, size=(N, 3)).astype(float)
    gaps = RNG.random((N, 3)) < 0.2
    gaps[5] = True
    found = fed(
        MultiLabel("a", classes=3, metrics=CLASS_METRICS), raw, np.where(gaps, np.nan, y)
    ).compute("a")
    p, hard, known = torch.tensor(raw).sigmoid().numpy(), raw >= 0, ~gaps
    columns = [(y[k, c], p[k, c], hard[k, c]) for c, k in enumerate(known.T)]
    assert found == pytest.approx(
        {
            "accuracy": (hard == y)[known].mean(),
            "macro_f1": np.mean([sk.f1_score(t, h) for t, _, h in columns]),
            "auroc": np.mean([sk.roc_auc_score(t, s) for t, s, _ in columns]),
            "average_precision": np.mean([sk.average_precision_score(t, s) for t, s, _ in columns]),
            "log_loss": sk.log_loss(y[known], p[known]),
            "loss": sk.log_loss(y[known], p[known]),
            "count": known.any(axis=1).sum(),
        },
        abs=1e-6,
    )


@pytest.mark.parametrize(
    ("name", "reference"),
    [("auroc", sk.roc_auc_score), ("average_precision", sk.average_precision_score)],
)
def test_tied_probabilities_are_ranked_together(name, reference):
    p, y = RNG.random((N, 2)).round(1), RNG.integers(0, 2, size=(N, 2))
    rows = ScoredRows(torch.zeros(N, 2), torch.tensor(p), torch.tensor(y))
    expected = reference(y, p, average="macro")
    assert METRICS[name](rows).value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("outputs", [1, 3])
def test_metrics_of_numbers_agree_with_scikit_learn_in_original_units(outputs):
    raw, y = RNG.normal(size=(2, N, outputs))
    task = Regression("a", outputs=outputs, scaling=(1e6, 2.0))
    found = fed(task, raw, y).compute("a")
    raw, y = raw * 2 + 1e6, y * 2 + 1e6
    assert found == pytest.approx(
        {
            "r2": sk.r2_score(y, raw),
            "mae": sk.mean_absolute_error(y, raw),
            "rmse": np.mean(np.sqrt(((y - raw) ** 2).mean(axis=0))),
            "loss": ((y - raw) ** 2).mean() / 4,
            "count": N,
        },
        rel=1e-7,
    )


def test_rows_of_which_the_model_is_very_sure_are_still_ranked():
    raw = torch.tensor([[0.0, 20.0], [0.0, 25.0]])
    found = fed(Classification("a", classes=2), raw, torch.tensor([0, 1]), cuts=()).compute("a")
    assert found["auroc"] == 1


def test_r2_in_single_precision_inputs_far_from_zero_does_not_cancel():
    y = torch.tensor([1e6 + 1, 1e6 + 2, 1e6 + 3])
    found = fed(Regression("a"), y + 0.5, y, cuts=()).compute("a")["r2"]
    assert found == pytest.approx(1 - 3 * 0.25 / 2)


def test_r2_is_not_clamped_at_zero():
    found = fed(Regression("a"), [10.0, 10.0], [0.0, 1.0], cuts=()).compute("a")
    assert found["r2"] == pytest.approx(1 - (100 + 81) / 0.5)


@given(st.lists(st.integers(0, 30), max_size=4))
def test_the_cuts_between_batches_make_no_difference(cuts):
    generator = np.random.default_rng(1)
    raw, y = generator.normal(size=(30, 3)), generator.integers(0, 3, size=30)
    task = Classification("a", classes=3, class_weights=[1.0, 2.0, 3.0])
    found = fed(task, raw, y, cuts=sorted(cuts)).compute("a")
    assert found == pytest.approx(fed(task, raw, y, cuts=()).compute("a"), abs=1e-12)


@pytest.mark.parametrize("given_always", [True, False])
def test_the_loss_is_the_sum_over_the_count_given_or_computed(given_always):
    task = Classification("a", classes=2, class_weights=[1.0, 3.0])
    raw, y = torch.randn(6, 2), torch.tensor([0, 1, 1, 0, -100, 1])
    metrics = TaskMetrics([task])
    for i, rows in enumerate((slice(0, 1), slice(1, 6))):
        losses = {"a": task.loss(raw[rows], y[rows])} if given_always or i else None
        metrics.update({"a": raw[rows]}, {"a": y[rows]}, losses)
    total, count = task.loss(raw, y)
    assert metrics.compute("a")["loss"] == pytest.approx((total / count).item())


def test_macro_f1_counts_a_class_that_is_predicted_but_never_occurs_as_wrong():
    raw, y = torch.eye(4)[[0, 0, 1, 2]], torch.tensor([0, 0, 1, 1])
    found = fed(Classification("a", classes=4), raw, y, cuts=()).compute("a")["macro_f1"]
    assert found == pytest.approx(sk.f1_score(y, raw.argmax(dim=-1), average="macro"))


def test_batches_of_one_class_only_do_not_average():
    y = torch.tensor([1, 1, 0, 0])
    raw = torch.tensor([[0.0, 3.0], [0.0, 1.0], [0.0, 2.0], [0.0, 0.0]])
    assert fed(Classification("a", classes=2), raw, y, cuts=[2]).compute("a")["auroc"] == 0.75


@pytest.mark.parametrize(
    ("task", "raw", "target", "notes"),
    [
        (
            Classification("a", classes=2, metrics=["auroc", "accuracy"]),
            torch.zeros(2, 2),
            torch.tensor([1, 1]),
            {"a.auroc": "undefined, as each of these has no positive or no negative row: 1"},
        ),
        (
            Classification("a", classes=["x", "y", "z"], metrics=["auroc"]),
            torch.zeros(2, 3),
            torch.tensor([1, 1]),
            {
                "a.auroc": "undefined, as each of these has no positive or no negative row: "
                "'x', 'y', 'z'"
            },
        ),
        (
            Regression("a"),
            torch.zeros(3),
            torch.tensor([0.1, 0.1, 0.1]),
            {"a.r2": "undefined, as each of these has a constant target or no label: 0"},
        ),
        (
            MultiLabel("a", classes=2, metrics=["average_precision", "macro_f1"]),
            torch.full((2, 2), -1.0),
            torch.zeros(2, 2),
            {
                "a.average_precision": "undefined, as each of these has no positive row: 0, 1",
                "a.macro_f1": "no label occurs or is predicted",
            },
        ),
        (
            Regression("a", metrics=["mae"]),
            torch.tensor([NAN, 0.0]),
            torch.zeros(2),
            {"a.mae": "a prediction is NaN"},
        ),
        (
            Regression("a", metrics=["mae"]),
            torch.zeros(2),
            torch.tensor([NAN, NAN]),
            {"a.mae": "no row has a label"},
        ),
    ],
)
def test_a_metric_without_a_meaning_is_nan_with_the_reason(task, raw, target, notes):
    metrics = fed(task, raw, target, cuts=())
    found = metrics.compute("a")
    assert metrics.notes == notes
    for key in notes:
        assert math.isnan(found[key.removeprefix("a.")])


def test_labels_and_classes_that_cannot_be_scored_are_left_out_and_named():
    task = MultiLabel("a", classes=["red", "round"])
    raw, y = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    metrics = fed(task, raw, y, cuts=())
    assert metrics.compute("a")["average_precision"] == 1
    assert metrics.notes["a.average_precision"].endswith("has no positive row: 'round'")
    task = Classification("a", classes=3, metrics=["auroc"])
    metrics = fed(task, torch.eye(3)[:2], torch.tensor([0, 1]), cuts=())
    assert metrics.compute("a")["auroc"] == 1
    assert metrics.notes["a.auroc"].endswith("no positive or no negative row: 2")


def test_nothing_seen_is_nan_and_reset_forgets():
    metrics = TaskMetrics([Regression("a"), Regression("b")])
    metrics.update({"a": [1.0], "b": [1.0]}, {"a": [2.0], "b": None})
    assert metrics.compute()["a"]["mae"] == 1
    assert metrics.compute()["b"]["count"] == 0
    metrics.reset()
    found = metrics.compute()
    assert found["a"]["count"] == 0
    assert math.isnan(found["a"]["mae"])
    assert math.isnan(found["a"]["loss"])


def test_a_function_sees_all_labelled_rows_at_once_as_arrays():
    seen = []

    def own(predictions, targets, probabilities):
        seen.append((predictions, targets, probabilities))
        return np.mean(predictions == targets)

    task = Classification("a", classes=2, metrics=["accuracy", own, lambda p, t: len(p)])
    raw = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    found = fed(task, raw, [1, 1, -100], cuts=[1]).compute("a")
    assert found["own"] == found["accuracy"] == 0.5
    assert found["metric_3"] == 2
    predictions, targets, probabilities = seen[0]
    assert [type(array) for array in seen[0]] == [np.ndarray] * 3
    assert (predictions.tolist(), targets.tolist(), probabilities.shape) == ([1, 0], [1, 1], (2, 2))


def test_a_function_may_say_what_would_be_perfect():
    def plain(predictions, targets):
        return 0.0

    def told(predictions, targets):
        return 0.0

    told.best, told.higher_is_better = 0.0, False
    known = TaskMetrics([Regression("a", metrics=[plain, told, "r2"])]).metrics["a"]
    assert (known["plain"].best, known["plain"].higher_is_better) == (None, None)
    assert (known["told"].best, known["told"].higher_is_better) == (0.0, False)
    assert (known["r2"].best, known["r2"].higher_is_better) == (1.0, True)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("best", "high", "best is 'high', expected a finite number"),
        ("best", math.inf, "best is inf, expected a finite number"),
        ("best", math.nan, "best is nan, expected a finite number"),
        ("higher_is_better", "yes", "higher_is_better is 'yes', expected True or False"),
    ],
)
def test_what_a_function_says_of_itself_is_checked(name, value, message):
    def told(predictions, targets):
        return 0.0

    setattr(told, name, value)
    with pytest.raises(InputError, match=f"metric 'told': {message}"):
        TaskMetrics([Regression("a", metrics=[told])])


def test_a_registered_metric_is_used_by_name():
    motet.register("metric", "bias", lambda predictions, targets: (predictions - targets).mean())
    metrics = fed(Regression("a", metrics=["bias"]), [1.0, 2.0], [0.0, 0.0], cuts=())
    assert metrics.compute("a")["bias"] == 1.5
    assert metrics.primary("a").name == "bias"


def test_metrics_may_be_chosen_instead_of_those_of_the_task():
    metrics = TaskMetrics([Regression("a"), Regression("b")], {"a": ["mae"]})
    assert {task: list(known) for task, known in metrics.metrics.items()} == {
        "a": ["mae"],
        "b": ["r2", "mae", "rmse"],
    }


def test_a_single_metric_needs_no_list():
    def bias(predictions, targets):
        return float((predictions - targets).mean())

    metrics = TaskMetrics([Regression("a"), Regression("b")], {"a": bias, "b": "mae"})
    assert {task: list(known) for task, known in metrics.metrics.items()} == {
        "a": ["bias"],
        "b": ["mae"],
    }
    metrics.update({"a": [1.0, 2.0]}, {"a": [0.0, 0.0]})
    assert metrics.compute("a")["bias"] == 1.5


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: TaskMetrics([Regression("a", metrics=["auroc"])]), "these do: mae, rmse, r2"),
        (lambda: TaskMetrics([Regression("a")], {"b": []}), "no task is named 'b'"),
        (lambda: TaskMetrics([Regression("a")], {"a": ["maes"]}), "did you mean 'mae'"),
        (
            lambda: TaskMetrics([Regression("a")], {"a": ["mae", "mae"]}),
            "found a second metric named",
        ),
        (lambda: TaskMetrics([Regression("a")], {"a": [3]}), "found 3, expected a name or a func"),
        (
            lambda: TaskMetrics([Regression("a")], {"a": 3}),
            "found 3, expected a name or a function",
        ),
        (lambda: TaskMetrics([Regression("ab")]).compute("a"), "did you mean 'ab'"),
        (lambda: TaskMetrics([Regression("ab")]).update({"a": []}, {}), "did you mean 'ab'"),
        (lambda: TaskMetrics([Regression("ab")]).update({}, {"a": []}), "did you mean 'ab'"),
        (
            lambda: TaskMetrics([Regression("ab")]).update(
                {"ab": [1.0]}, {"ab": [1.0]}, weights={"a": [1.0]}
            ),
            "did you mean 'ab'",
        ),
        (
            lambda: TaskMetrics([Regression("a")]).update({"a": [1.0]}, {"a": [1.0, 2.0]}),
            "found 1 raw outputs and 2 labels",
        ),
        (
            lambda: fed(
                Regression("a", metrics=[lambda p, t: "good"]), [0.0], [0.0], cuts=()
            ).compute(),
            "metric 'metric_1' returned str, expected one number",
        ),
    ],
)
def test_a_mistake_is_an_error_that_says_what_was_expected(use, message):
    with pytest.raises(InputError, match=message):
        use()


def test_a_task_of_the_user_has_metrics_without_writing_any():
    class Votes(Task):
        kind, labels, outputs = "votes", "class", 3

        def loss(self, raw, target):
            return self.add_up(lambda raw, target: -raw.gather(1, target.unsqueeze(1)), raw, target)

        def decode(self, raw):
            return Prediction(raw.argmax(dim=-1))

    raw, y = torch.eye(3), torch.tensor([0, 1, -100])
    metrics = fed(Votes("a"), raw, y, cuts=())
    found = metrics.compute("a")
    assert (found["accuracy"], found["loss"], found["count"]) == (1, -1, 2)
    assert metrics.notes["a.auroc"] == "the task predicts no probabilities"


@pytest.mark.parametrize("missing", [0.0, 0.4])
@pytest.mark.parametrize("outputs", [1, 3])
def test_metrics_that_add_up_hold_no_rows_and_find_the_same(outputs, missing, monkeypatch):
    raw, y = RNG.normal(size=(2, N, outputs)) + 1e6
    y[RNG.random((N, outputs)) < missing] = np.nan
    y[:20] = np.nan  # batches without any label
    task = Regression("a", outputs=outputs)
    whole = fed(task, raw, y, cuts=())
    monkeypatch.setattr("motet.tasks.task_metrics._MOST", 1)
    batches = fed(task, raw, y, cuts=(3, 4, 20, 21, 100))
    assert not batches._pending["a"]
    assert batches.compute("a") == pytest.approx(whole.compute("a"), rel=1e-9)
    assert batches.compute("a") == batches.compute("a")
    assert batches.notes == whole.notes


@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "log_loss"])
@pytest.mark.parametrize("task", [Classification("a", classes=5), MultiLabel("a", classes=5)])
def test_metrics_of_classes_that_add_up_find_the_same(task, name, monkeypatch):
    raw = RNG.normal(size=(N, 5))
    several = isinstance(task, MultiLabel)
    y = RNG.integers(0, 2, size=(N, 5)).astype(float) if several else np.sort(RNG.integers(0, 5, N))
    expected = fed(task, raw, y, cuts=()).compute("a")
    own = {"a": [name]}
    monkeypatch.setattr("motet.tasks.task_metrics._MOST", 1)
    found = fed(task, raw, y, metrics=own).compute("a")
    assert found[name] == pytest.approx(
        fed(task, raw, y, cuts=(), metrics=own).compute("a")[name], rel=1e-12
    )
    assert found["count"] == expected["count"]


def test_constant_predictions_are_scored_on_the_same_rows(monkeypatch):
    tasks = [Regression("a"), Classification("b", classes=2)]
    y = {"a": RNG.normal(size=N), "b": RNG.integers(0, 2, N)}
    raw = {"a": RNG.normal(size=N), "b": RNG.normal(size=(N, 2))}
    trivial = fit_trivial(tasks, y)
    for most in (1, 1 << 22):
        monkeypatch.setattr("motet.tasks.task_metrics._MOST", most)
        metrics = TaskMetrics(tasks, trivial=trivial)
        for rows in (slice(0, 50), slice(50, N)):
            cut = ({name: each[rows] for name, each in values.items()} for values in (raw, y))
            metrics.update(*cut)
        metrics.compute()
        for name, expected in score_trivial(tasks, trivial, y).items():
            assert metrics.trivial[name] == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_a_prediction_that_is_nan_in_one_batch_is_one_of_the_split(monkeypatch):
    monkeypatch.setattr("motet.tasks.task_metrics._MOST", 1)
    metrics = fed(Regression("a", metrics=["mae"]), [0.0, NAN, 0.0], [1.0, 1.0, 1.0], cuts=(1, 2))
    assert math.isnan(metrics.compute("a")["mae"])
    assert metrics.notes["a.mae"] == "a prediction is NaN"


def test_a_constant_is_seen_over_batches(monkeypatch):
    monkeypatch.setattr("motet.tasks.task_metrics._MOST", 1)
    metrics = fed(Regression("a"), [2.5] * 4, [1.0, 1.0, 3.0, 3.0], cuts=(2,))
    metrics.compute()
    assert metrics.notes["a.prediction"] == "predicts 2.500 in all 4 rows"
    differing = fed(Regression("a"), [2.5, 2.5, 2.6, 2.6], [1.0, 2.0, 1.0, 2.0], cuts=(2,))
    differing.compute()
    assert "a.prediction" not in differing.notes


def test_updating_keeps_no_graph_and_computing_leaves_gradients_alone():
    raw = torch.zeros(3, requires_grad=True)
    metrics = TaskMetrics([Regression("a")])
    metrics.update({"a": raw * 2}, {"a": torch.arange(3.0)})
    (kept, _), *_ = metrics._pending["a"]
    assert not kept.prediction.value.requires_grad
    metrics.compute()
    assert raw.grad is None


def test_rows_with_numbers_are_put_in_their_order():
    given = []

    def keep(predictions, targets):
        given.append((predictions, targets))
        return 0.0

    metrics = TaskMetrics([Regression("a", metrics=[keep])])
    metrics.update({"a": [3.0, 1.0]}, {"a": [30.0, 10.0]}, numbers=torch.tensor([2, 0]))
    metrics.update({"a": [2.0]}, {"a": [20.0]}, numbers=torch.tensor([1]))
    metrics.compute()
    ((predictions, targets),) = given
    assert (predictions.tolist(), targets.tolist()) == ([1.0, 2.0, 3.0], [10.0, 20.0, 30.0])
    with pytest.raises(InputError, match="task 'a': rows of some batches have numbers"):
        metrics.update({"a": [2.0]}, {"a": [20.0]})
