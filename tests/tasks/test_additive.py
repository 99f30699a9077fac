import pytest
import torch
from torch.testing import assert_close

from motet.problems import InputError
from motet.tasks.additive import sum_masked, sum_selected

NAN = torch.nan
RAW = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
CELLS = torch.tensor([[0.0, NAN], [NAN, NAN], [1.0, 2.0]])
FULL = torch.tensor([[0.0, 1.0], [NAN, NAN], [1.0, 2.0]])


def squares(raw, target):
    return (raw - target) ** 2


def test_both_ways_give_the_same_sum_and_count():
    known = ~CELLS.isnan()
    for add_up in (sum_masked, sum_selected):
        total, count = add_up(squares, RAW, CELLS, known)
        assert (total.item(), count.item()) == (1 + 16 + 16, 3)


@pytest.mark.parametrize("add_up", [sum_masked, sum_selected])
@pytest.mark.parametrize("bad", [NAN, torch.inf])
def test_nothing_in_an_unlabelled_row_reaches_the_loss_or_the_gradient(add_up, bad):
    raw = torch.tensor([1.0, bad, 3.0], requires_grad=True)
    target = torch.tensor([0.0, NAN, 1.0])
    total, _ = add_up(squares, raw, target, ~target.isnan())
    total.backward()
    assert total.item() == 5
    assert_close(raw.grad, torch.tensor([2.0, 0.0, 4.0]))


def test_a_function_of_the_user_sees_labelled_rows_only_and_no_nan():
    def loss(raw, target):
        assert raw.shape == target.shape == (2, 2)
        assert not target.isnan().any()
        return squares(raw, target)

    sum_selected(loss, RAW, CELLS, ~CELLS.isnan())


@pytest.mark.parametrize(
    "loss",
    [
        squares,
        lambda raw, target: squares(raw, target).mean(),
        lambda raw, target: squares(raw, target).mean(dim=-1),
        lambda raw, target: squares(raw, target).unsqueeze(-1).expand(-1, -1, 5),
        torch.nn.MSELoss(),
    ],
    ids=["per label", "mean", "per row", "more axes", "module"],
)
def test_losses_per_label_per_row_and_their_mean_are_one_and_the_same(loss):
    total, count = sum_selected(loss, RAW, FULL, ~FULL.isnan())
    assert_close((total.item(), count.item()), (1 + 1 + 16 + 16.0, 4.0))


@pytest.mark.parametrize("dim", [None, -1], ids=["mean", "per row"])
def test_a_mean_over_partly_labelled_rows_is_refused(dim):
    with pytest.raises(InputError, match=r"partly labelled.*reduction='none'"):
        sum_selected(lambda r, t: squares(r, t).mean(dim=dim), RAW, CELLS, ~CELLS.isnan())


def test_without_any_label_the_function_is_not_called_and_nothing_is_nan():
    def loss(raw, target):
        raise AssertionError

    nothing = torch.zeros(3, 2, dtype=torch.bool)
    assert sum_selected(loss, RAW, CELLS, nothing) == (0, 0)
    assert sum_masked(squares, RAW, CELLS, nothing) == (0, 0)


def test_a_loss_without_a_gradient_or_of_a_wrong_shape_is_an_error_in_words():

    def loss(raw, target):
        return 1.0

    with pytest.raises(InputError, match="'loss' returned float, expected a tensor"):
        sum_selected(loss, RAW, FULL, ~FULL.isnan())
    with pytest.raises(InputError, match=r"returned the shape \(7,\), expected \(2, 2\)"):
        sum_selected(lambda raw, target: torch.zeros(7), RAW, FULL, ~FULL.isnan())
