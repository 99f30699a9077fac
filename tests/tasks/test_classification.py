import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional
from torch.testing import assert_close

from motet.problems import InputError
from motet.tasks import Classification

NAN = torch.nan
ROWS = torch.tensor([[2.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
LABELS = torch.tensor([0, 1])


def mean(task, raw=ROWS, target=LABELS):
    total, count = task.loss(raw, target)
    return (total / count).item()


def test_class_weights_divide_by_the_weights_of_the_labels():
    task = Classification("a", classes=2, class_weights=[1.0, 3.0])
    assert mean(task) == pytest.approx(0.266678, abs=1e-6)
    assert task.count(LABELS) == 4
    expected = functional.cross_entropy(ROWS, LABELS, weight=torch.tensor([1.0, 3.0]).double())
    assert mean(task) == pytest.approx(expected.item(), abs=1e-12)


def test_class_weights_and_label_smoothing_have_the_known_value():
    task = Classification("a", classes=2, class_weights=[1.0, 3.0], label_smoothing=0.1)
    assert mean(task) == pytest.approx(0.349520, abs=1e-6)


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"loss": "focal"}])
@pytest.mark.parametrize("weights", [None, [1.0, 3.0]])
def test_one_hot_soft_labels_are_hard_labels(options, weights):
    task = Classification("a", classes=2, class_weights=weights, **options)
    soft = functional.one_hot(LABELS, 2).double()
    assert_close(task.loss(ROWS, soft), task.loss(ROWS, LABELS))


def test_soft_labels_count_the_weight_of_their_shares():
    task = Classification("a", classes=2, class_weights=[1.0, 3.0])
    target = torch.tensor([[0.25, 0.75], [NAN, NAN]])
    assert task.count(target) == 0.25 + 0.75 * 3
    log_p = ROWS[0].log_softmax(dim=-1)
    assert_close(task.loss(ROWS, target)[0], -(0.25 * log_p[0] + 0.75 * 3 * log_p[1]))


def test_focal_loss_counts_rows_whatever_the_weights():
    task = Classification("a", classes=2, loss="focal", class_weights=[1.0, 3.0])
    assert task.count(LABELS) == 2
    assert mean(Classification("a", classes=2, loss="focal", gamma=0.0)) == pytest.approx(
        mean(Classification("a", classes=2))
    )


@pytest.mark.parametrize(
    "target",
    [
        torch.tensor([1, -100]),
        torch.tensor([1, -100], dtype=torch.int32),
        torch.tensor([1.0, NAN]),
        torch.tensor([[1.0], [NAN]]),
        torch.tensor([[0.0, 1.0], [NAN, NAN]]),
    ],
)
def test_labels_mean_the_same_in_every_form(target):
    task = Classification("a", classes=2)
    expected = task.loss(ROWS[:1], torch.tensor([1]))
    assert_close(task.loss(ROWS, target), expected)
    assert task.restore(target).tolist() == [1, -100]
    assert task.labelled(target).tolist() == [True, False]


def test_balanced_weights_are_those_of_scikit_learn():
    target = torch.tensor([0, 0, 0, 1, 2, 2, -100])
    task = Classification("a", classes=3, class_weights="balanced")
    task.prepare(target)
    labels = target[:-1].numpy()
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert_close(task.weights().double(), torch.tensor(expected), atol=1e-6, rtol=0)
    assert task.count(target).item() == pytest.approx(6)


def test_a_class_that_never_occurs_has_a_finite_weight_and_changes_no_other():
    task = Classification("a", classes=3, class_weights="balanced")
    task.prepare(torch.tensor([0, 0, 1]))
    assert task.weights().tolist() == [0.75, 1.5, 1.5]


def test_balanced_weights_are_an_error_before_the_training_labels_were_seen():
    task = Classification("a", classes=2, class_weights="balanced")
    with pytest.raises(
        InputError, match=r"task 'a': class_weights: found balanced, but no training labels"
    ):
        task.loss(ROWS, LABELS)


def test_balanced_weights_come_back_with_a_saved_model():
    task, again = (Classification("a", classes=2, class_weights="balanced") for _ in "ab")
    task.prepare(torch.tensor([0, 0, 1]))
    again.load_state_dict(task.state_dict())
    assert_close(again.loss(ROWS, LABELS), task.loss(ROWS, LABELS))


def test_weights_given_as_numbers_are_not_learned():
    task = Classification("a", classes=2, class_weights=[1.0, 3.0])
    task.prepare(torch.tensor([0, 0, 1]))
    assert task.weights().tolist() == [1, 3]


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (torch.tensor([0, 2]), "found the label 2"),
        (torch.tensor([0, -1]), "found the label -1"),
        (torch.tensor([0.0, 0.5]), "found the label 0.5"),
        (torch.tensor([[0.5, 0.2]]), "found the soft label"),
        (torch.tensor([[1.5, -0.5]]), "found the soft label"),
        (torch.tensor([[1.0, NAN]]), "found the soft label"),
        (torch.tensor([[0.2, 0.3, 0.5]]), r"shape \(1, 3\), expected \(B, 2\)"),
        (torch.tensor([[1, 0]]), r"shape \(1, 2\), expected \(B,\)"),
    ],
)
def test_a_label_out_of_range_is_an_error_in_words(target, found):
    with pytest.raises(InputError, match=f"task 'a': .*{found}"):
        Classification("a", classes=2).check(target)


def test_the_prediction_is_the_likeliest_class():
    prediction = Classification("a", classes=2).decode(ROWS.half())
    assert prediction.value.tolist() == [0, 1]
    assert prediction.value.dtype == torch.int64
    assert_close(prediction.probabilities, ROWS.float().softmax(dim=-1))


def test_the_trivial_prediction_is_the_majority_with_the_shares_of_the_classes():
    task = Classification("a", classes=3)
    prediction = task.trivial(task.statistics(torch.tensor([1, 1, 0, 1, -100])), "accuracy")
    assert prediction.value.tolist() == [1]
    assert prediction.probabilities.tolist() == [[0.25, 0.75, 0]]


def test_two_classes_are_scored_by_auroc_and_more_by_accuracy():
    assert Classification("a", classes=2).metrics[0] == "auroc"
    assert Classification("a", classes=3).metrics[0] == "accuracy"
