import pytest
import torch
from torch.testing import assert_close

from motet.problems import InputError
from motet.tasks import MultiLabel

NAN = torch.nan
RAW = torch.tensor([[2.0, -1.0], [0.0, 0.0]])


def test_cells_are_missing_one_by_one():
    for target in (torch.tensor([[1.0, NAN], [NAN, NAN]]), torch.tensor([[1, -100], [-100, -100]])):
        task = MultiLabel("a", classes=2)
        assert_close(task.loss(RAW, target)[0].item(), 0.126928, atol=1e-6, rtol=0)
        assert task.count(target) == 1
        assert task.labelled(target).tolist() == [True, False]
        assert task.restore(target).isnan().tolist() == [[False, True], [True, True]]


def test_the_count_is_labelled_cells_with_pos_weight_too():
    task = MultiLabel("a", classes=2, pos_weight=[3.0, 3.0])
    total, count = task.loss(RAW[:1], torch.tensor([[1.0, 0.0]]))
    assert_close(total.item(), 0.380784 + 0.313262, atol=1e-6, rtol=0)
    assert count == 2


def test_balanced_weights_are_zeros_over_ones():
    task = MultiLabel("a", classes=3, pos_weight="balanced")
    with pytest.raises(InputError, match="pos_weight: found balanced, but no training labels"):
        task.loss(torch.zeros(1, 3), torch.zeros(1, 3))
    task.prepare(torch.tensor([[1, 0, 1], [0, 0, 1], [0, -100, 1], [0, 0, -100]]))
    assert task.weights().tolist() == pytest.approx([3.0, 3.0, 1 / 3])


def test_the_threshold_decides():
    raw = torch.logit(torch.tensor([[0.3, 0.6]]))
    assert MultiLabel("a", classes=2).decode(raw).value.tolist() == [[0, 1]]
    assert MultiLabel("a", classes=2, threshold=0.2).decode(raw).value.tolist() == [[1, 1]]


def test_a_mean_is_refused_where_single_cells_are_missing():
    task = MultiLabel("a", classes=2, loss=torch.nn.BCEWithLogitsLoss())
    total, count = task.loss(RAW, torch.tensor([[1.0, 0.0], [NAN, NAN]]))
    assert_close((total / count).item(), (0.126928 + 0.313262) / 2, atol=1e-6, rtol=0)
    with pytest.raises(InputError, match="partly labelled"):
        task.loss(RAW, torch.tensor([[1.0, 0.0], [NAN, 1.0]]))


def test_the_trivial_prediction_is_the_share_of_each_label():
    task = MultiLabel("a", classes=3)
    target = torch.tensor([[1, 1, -100], [1, 0, -100], [1, 0, -100], [-100, 0, -100]])
    prediction = task.trivial(task.statistics(target), "average_precision")
    assert prediction.probabilities.tolist() == [[1.0, 0.25, 0.0]]
    assert prediction.value.tolist() == [[1, 0, 0]]


def test_a_single_label_may_come_without_its_axis():
    task = MultiLabel("a", classes=1)
    raw, target = torch.zeros(3, 1), torch.tensor([1.0, NAN, 0.0])
    assert task.count(target) == 2
    assert_close(task.loss(raw, target), task.loss(raw, target.unsqueeze(1)))


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (torch.tensor([[0.0, 0.5]]), "found the label 0.5, expected 0 or 1"),
        (torch.tensor([[0, 2]]), "found the label 2"),
        (torch.tensor([[0.0]]), r"shape \(1, 1\), expected \(B, 2\)"),
    ],
)
def test_a_label_that_cannot_be_one_is_an_error_in_words(target, found):
    with pytest.raises(InputError, match=f"task 'a': .*{found}"):
        MultiLabel("a", classes=2).check(target)


def test_a_separator_is_for_one_column_of_texts():
    assert MultiLabel("a", classes=2, separator=",").separator == ","
    with pytest.raises(InputError, match="separator: found with columns, which hold one label"):
        MultiLabel("a", columns=["b", "c"], separator=",")
