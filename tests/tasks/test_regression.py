import pytest
import torch
from torch.testing import assert_close

from motet.problems import InputError
from motet.tasks import Regression

NAN = torch.nan


def test_one_output_may_come_with_or_without_its_axis():
    task = Regression("a")
    raw, target = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, NAN, 1.0])
    for r in (raw, raw.unsqueeze(1)):
        for t in (target, target.unsqueeze(1), target.double()):
            assert task.loss(r, t) == (5, 2)
            assert task.restore(t).shape == task.decode(r).value.shape == (3,)
            assert task.labelled(t).tolist() == [True, False, True]


def test_one_output_of_one_row_stays_a_vector():
    assert Regression("a").decode(torch.tensor([[1.0]])).value.tolist() == [1.0]


def test_outputs_are_missing_one_by_one():
    task = Regression("a", outputs=2)
    total, count = task.loss(
        torch.tensor([[1.0, 9.0], [2.0, 3.0]]), torch.tensor([[0, NAN], [0, 0]])
    )
    assert (total, count) == (1 + 4 + 9, 3)


def test_minus_100_is_a_number():
    assert Regression("a").loss(torch.tensor([-99.0]), torch.tensor([-100.0])) == (1, 1)
    assert Regression("a").loss(torch.tensor([-99.0]), torch.tensor([-100])) == (1, 1)


def test_the_loss_works_on_standardised_numbers_and_all_else_in_original_units():
    task = Regression("a", loss="huber", delta=1.0, scaling=(100.0, 20.0))
    raw, target = torch.tensor([3.0]), torch.tensor([0.0])
    assert task.loss(raw, target)[0] == 2.5
    assert task.decode(raw).value.tolist() == [160.0]
    assert task.restore(target).tolist() == [100.0]


def test_scaling_may_differ_by_output_and_loses_no_digits():
    task = Regression("a", outputs=2, scaling=([0.1, 1e9 + 1], [1.0, 2.0]))
    found = task.decode(torch.tensor([[0.0, 0.5]])).value
    assert found.dtype == torch.float64
    assert found.tolist() == [[0.1, 1e9 + 2]]


def test_a_bare_regression_never_scales():
    task = Regression("a")
    task.prepare(torch.tensor([10.0, 20.0]))
    assert task.decode(torch.tensor([3.0])).value.tolist() == [3.0]


def test_the_trivial_prediction_is_the_mean_and_for_mae_the_median():
    task = Regression("a", scaling=(10.0, 2.0))
    target = torch.tensor([0.0, 0.0, 6.0, NAN])
    assert task.trivial(task.statistics(target), "r2").value.tolist() == [14.0]
    assert task.trivial(task.statistics(target), "mae").value.tolist() == [10.0]


@pytest.mark.parametrize(
    ("task", "target", "found"),
    [
        (Regression("a"), torch.tensor([0.0, torch.inf]), "an infinite label in row 1"),
        (Regression("a"), torch.zeros(3, 2), r"shape \(3, 2\), expected \(3,\); give outputs="),
        (Regression("a", outputs=2), torch.zeros(3), r"shape \(3,\), expected \(3, 2\)"),
    ],
)
def test_a_label_that_cannot_be_one_is_an_error_in_words(task, target, found):
    with pytest.raises(InputError, match=f"task 'a': .*{found}"):
        task.check(target)


def test_shapes_that_would_broadcast_are_refused():
    with pytest.raises(InputError, match=r"shape \(2, 3\), expected \(2,\)"):
        Regression("a").loss(torch.zeros(2, 3), torch.zeros(2))


def test_huber_keeps_the_slope_of_large_errors():
    raw = torch.tensor([100.0], requires_grad=True)
    Regression("a", loss="huber").loss(raw, torch.zeros(1))[0].backward()
    assert_close(raw.grad, torch.ones(1))


def test_delta_says_where_hubers_line_begins():
    assert Regression("a", loss="huber").loss(torch.tensor([3.0]), torch.zeros(1))[0] == 2.5
    task = Regression("a", loss="huber", delta=2.0)
    assert task.loss(torch.tensor([3.0]), torch.zeros(1))[0] == 4
