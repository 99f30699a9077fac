"""GradDrop, and what every balancer that reads gradients shares."""

import pytest
import torch
from torch.testing import assert_close

from motet.balancing.families import JacobianBalancer
from motet.balancing.graddrop import GradDrop
from motet.problems import InputError


def test_where_all_signs_agree_it_is_the_sum():
    rows = torch.tensor([[1.0, -2.0, 0.0], [3.0, -0.5, 0.0]])
    for _ in range(20):
        assert_close(GradDrop(["a", "b"])(rows), rows.sum(dim=0))


def test_the_signs_are_kept_with_the_paper_s_probability():
    """3 and -1: p = 0.75, and the expectation is their sum."""
    d = GradDrop(["a", "b"])(torch.tensor([[3.0], [-1.0]]).repeat(1, 200_000))
    assert not torch.equal(*d.tensor_split(2))
    assert set(d.unique().tolist()) == {3.0, -1.0}
    assert (d == 3).double().mean().item() == pytest.approx(0.75, abs=0.01)
    assert d.mean().item() == pytest.approx(2, abs=0.05)


def test_a_leak_passes_a_share_of_all():
    rows = torch.tensor([[3.0], [-1.0]]).repeat(1, 100)
    d = GradDrop(["a", "b"], leak=0.5)(rows)
    assert set(d.unique().tolist()) == {2.5, 0.5}


def test_it_is_what_the_paper_s_masks_give():
    rows = torch.randn(4, 50, generator=torch.Generator().manual_seed(0))
    balancer = GradDrop(list("abcd"), leak=0.3)
    d = balancer(rows)
    agreed = [
        0.3 * rows.sum(0) + 0.7 * (rows * (rows.sign() == sign)).sum(0) for sign in (1.0, -1.0)
    ]
    nearest = torch.minimum((d - agreed[0]).abs(), (d - agreed[1]).abs())
    assert nearest.max() < 1e-5


def test_draws_depend_on_seed_and_step_alone():
    rows = torch.randn(2, 100, generator=torch.Generator().manual_seed(0))
    one, same, other = GradDrop(["a", "b"]), GradDrop(["a", "b"]), GradDrop(["a", "b"], seed=1)
    torch.manual_seed(1)
    first, second = one(rows), one(rows)
    torch.manual_seed(2)
    assert_close(same(rows), first, rtol=0, atol=0)
    assert not torch.equal(first, second)
    assert not torch.equal(other(rows), first)
    resumed = GradDrop(["a", "b"])
    resumed.load_state_dict(same.state_dict())
    assert_close(resumed(rows), second, rtol=0, atol=0)


def test_a_task_weight_scales_the_gradient():
    balancer = GradDrop(["a", "b"])
    balancer.set_weight("b", 3.0)
    assert_close(balancer(torch.ones(2, 2)), torch.tensor([4.0, 4.0]))


def test_the_scales():
    rows = torch.tensor([[1.0, 2.0]]).repeat(3, 1)
    assert_close(GradDrop(list("abc"), scale="sum")(rows), 3 * rows[0])
    assert_close(GradDrop(list("abc"), scale="mean")(rows), rows[0])
    assert_close(GradDrop(list("abc"), scale="mean")(rows[:1], None, torch.tensor([1])), rows[0])


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_not_finite_gives_nan_and_leaves_the_state_alone(value):
    balancer = GradDrop(["a", "b"])
    rows = torch.ones(2, 3)
    rows[1, 1] = value
    assert balancer(rows).isnan().all()
    assert "not finite" in balancer.status
    assert balancer.step == 0


def test_a_wrong_shape_is_a_clear_error():
    with pytest.raises(InputError, match=r"shape \(3, 4\), expected \(2, P\)"):
        GradDrop(["a", "b"])(torch.ones(3, 4))


def test_one_method_makes_a_balancer():
    class Largest(JacobianBalancer):
        def forward(self, jacobian, losses, present):
            return jacobian.max(dim=0).values

    rows = torch.tensor([[1.0, 2.0], [3.0, 1.0]])
    assert_close(Largest(["a", "b"])(rows), torch.tensor([3.0, 2.0]))


def test_what_is_no_direction_is_a_clear_error():
    class Rows(JacobianBalancer):
        def forward(self, jacobian, losses, present):
            return jacobian

    with pytest.raises(InputError, match=r"returned shape \(2, 3\), expected a direction \(3,\)"):
        Rows(["a", "b"])(torch.ones(2, 3))


def test_a_weighted_sum_without_its_weights_is_a_clear_error():
    class Once(JacobianBalancer):
        combines = True

        def forward(self, jacobian, losses, present):
            if self.given is not None:
                self.weights, self.given = self.given, None
            return jacobian.sum(dim=0)

    balancer = Once(["a", "b"])
    balancer.given = torch.ones(2)
    balancer(torch.ones(2, 3))
    with pytest.raises(
        InputError, match="Once left `weights` unset"
    ):  # not those of the step before
        balancer(torch.ones(2, 3))
