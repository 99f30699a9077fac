"""Every balancer that reads the gradients themselves: properties, known answers, references."""

import numpy as np
import pytest
import torch
from gradients import gradients, jacobians
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from motet.balancing import MGDA, JacobianBalancer, available, backward, combine, create
from motet.problems import InputError
from motet.registry import BALANCERS

NAMES = [name for name in available() if issubclass(BALANCERS[name], JacobianBalancer)]
REMEMBERING = [name for name in NAMES if BALANCERS[name].column_state]
WEIGHING = [name for name in NAMES if BALANCERS[name].combines]
DRAWN_BY_CHANCE = {"graddrop"}
O = torch.tensor([[3.0, 0.0], [0.0, 4.0]], dtype=torch.float64)  # noqa: E741  # methods.md


def names(count):
    return [f"t{index}" for index in range(count)]


def make(name, tasks, **options):
    return create(name, list(tasks), **options)


def losses_of(count):
    return torch.linspace(1, 2, count, dtype=torch.float64)


def step(balancer, rows, present=None):
    rows = torch.as_tensor(rows, dtype=torch.float64)
    return balancer(rows, losses_of(len(rows)), present)


def state(balancer):
    return {key: value.clone() for key, value in balancer.state_dict().items()}


# Properties ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@given(rows=jacobians())
def test_every_kind_of_gradients_gives_a_finite_direction(name, rows):
    balancer = make(name, names(len(rows)))
    for _ in range(2):
        assert step(balancer, rows).isfinite().all()
    assert balancer.weights is None or balancer.weights.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [1, 2, 33, 64])
def test_up_to_64_tasks(name, count):
    assert step(make(name, names(count)), gradients("plain", count, 0)).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_equal_gradients_of_equal_losses_give_their_sum_in_the_sum_scale(name, count):
    row = torch.tensor([3.0, -4.0], dtype=torch.float64)
    ones = torch.ones(count, dtype=torch.float64)
    for scale, factor in (("sum", count), ("mean", 1)):
        balancer = make(name, names(count), scale=scale)
        for _ in range(3):
            assert_close(balancer(row.repeat(count, 1), ones), factor * row)


@pytest.mark.parametrize("name", sorted(set(NAMES) - DRAWN_BY_CHANCE))
@given(rows=st.lists(jacobians(("plain",), 4, 4), min_size=1, max_size=3), data=st.data())
def test_the_order_of_the_tasks_does_not_matter(name, rows, data):
    order = data.draw(st.permutations(range(4)))
    one, other = make(name, names(4)), make(name, [names(4)[index] for index in order])
    losses = losses_of(4)
    for each in rows:
        each = torch.as_tensor(each)
        ours = one(each, losses)
        assert_close(other(each[order], losses[order]), ours, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", WEIGHING)
@given(rows=jacobians(("plain", "uneven", "one zero"), smallest=2))
def test_reported_weights_are_those_of_the_first_direction(name, rows):
    """Later ones are of running gradients, for methods that have them."""
    for scale in ("sum", "mean", "paper"):
        balancer = make(name, names(len(rows)), scale=scale)
        d = step(balancer, rows)
        assert_close(balancer.weights @ torch.as_tensor(rows), d, rtol=1e-4, atol=1e-4 * d.norm())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("where", ["gradient", "loss"])
def test_what_is_not_finite_gives_nan_and_leaves_the_state_alone(name, value, where):
    balancer = make(name, ["a", "b"])
    step(balancer, [[1.0, 2.0], [3.0, 4.0]])
    before = state(balancer)
    rows, losses = torch.ones(2, 2), torch.ones(2)
    (rows[1] if where == "gradient" else losses)[1] = value
    assert balancer(rows, losses).isnan().all()
    assert "not finite" in balancer.status
    assert balancer.weights is None or balancer.weights.isnan().all()
    assert_close(balancer.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
@given(
    before=st.lists(jacobians(("plain",), 3, 3), max_size=3),
    after=st.lists(jacobians(("plain",), 3, 3), min_size=1, max_size=3),
)
def test_a_resumed_balancer_goes_on_as_if_it_had_never_stopped(name, before, after):
    kept, resumed = make(name, "abc"), make(name, "abc")
    for rows in before:
        step(kept, rows)
    resumed.load_state_dict(state(kept))
    for rows in after:
        assert_close(step(resumed, rows), step(kept, rows), rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_state_follows_the_names_of_the_tasks(name):
    saved, moved = make(name, "abc"), make(name, ["c", "new", "a"])
    step(saved, gradients("plain", 3, 0))
    moved.load_state_dict(state(saved))
    for key in moved.task_axes:
        assert_close(getattr(moved, key)[[2, 0]], getattr(saved, key)[[0, 2]])
    assert step(moved, gradients("plain", 3, 1)).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_a_fresh_state_takes_a_used_balancer_back(name):
    fresh, used = make(name, "abc"), make(name, "abc")
    step(used, gradients("plain", 3, 0))
    used.load_state_dict(state(fresh))
    rows = np.ones((3, 5))
    assert_close(step(used, rows), step(fresh, rows), rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_tasks_may_come_and_go_and_absent_ones_keep_their_state(name):
    balancer = make(name, names(5))
    for number, present in enumerate([(0, 1), (4, 2, 3), (1,), (0, 1, 2, 3, 4), (3, 0)]):
        before = state(balancer)
        rows = np.random.default_rng(number).normal(size=(len(present), 7))
        assert step(balancer, rows, torch.tensor(present)).isfinite().all()
        absent = [index for index in range(5) if index not in present]
        for key in balancer.task_axes:
            now = balancer.state_dict()[key][absent]
            assert_close(now, before[key][absent] if number else now, rtol=0, atol=0)


@pytest.mark.parametrize("name", sorted(set(NAMES) - DRAWN_BY_CHANCE))
def test_tasks_that_share_nothing_are_balanced_as_if_by_balancers_of_their_own(name):
    """A group of tasks has zeros in the columns of the other."""
    whole = make(name, "abcd")
    parts = make(name, "ab"), make(name, "cd")
    for seed in range(4):
        left, right = gradients("plain", 2, seed), gradients("uneven", 2, 50 + seed)
        left, right = left[:, :3], right[:, :4]
        d = step(whole, np.pad(left, ((0, 0), (0, 4))), torch.tensor([0, 1]))
        d += step(whole, np.pad(right, ((0, 0), (3, 0))), torch.tensor([2, 3]))
        alone = torch.cat([step(parts[0], left), step(parts[1], right)])
        assert_close(d, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_weight_acts_or_is_refused(name):
    balancer, rows = make(name, "ab"), [[1.0, 0.5], [0.5, 2.0]]
    before = step(make(name, "ab"), rows)
    if balancer.refuses_weight:
        with pytest.raises(InputError, match=r"takes no weight for 'a'.*use"):
            balancer.set_weight("a", 2.0)
    else:
        balancer.set_weight("a", 2.0)
        assert_close(
            step(balancer, rows), before + torch.tensor(rows[0]).double(), rtol=1e-5, atol=1e-6
        )


# Memory of gradients --------------------------------------------------------------------------


def model():
    torch.manual_seed(0)
    encoder, heads = nn.Linear(3, 4), nn.ModuleList(nn.Linear(4, 1) for _ in range(2))
    x = torch.randn(6, 3)

    def losses():
        z = encoder(x).tanh()
        return {task: head(z).square().mean() for task, head in zip("ab", heads, strict=True)}

    return encoder, heads, losses


@pytest.mark.parametrize("name", REMEMBERING)
def test_other_shared_parameters_are_one_clear_error(name):
    encoder, _, losses = model()
    balancer = make(name, "ab")
    backward(losses(), balancer, shared=encoder)
    encoder.bias.requires_grad_(False)
    with pytest.raises(InputError, match=r"remembers gradients on 16 shared .* found 12.*frozen"):
        backward(losses(), balancer, shared=encoder)


@pytest.mark.parametrize("name", REMEMBERING)
def test_what_is_shared_must_be_said(name):
    encoder, _, losses = model()
    with pytest.raises(InputError, match="give shared="):
        backward(losses(), make(name, "ab"))
    with pytest.raises(InputError, match='Use at="parameters"'):
        backward(losses(), make(name, "ab"), shared=encoder, at="representation")


@pytest.mark.filterwarnings("ignore:`shared` holds 2 parameters that only one task reaches")
@pytest.mark.parametrize("name", REMEMBERING)
def test_a_column_stays_that_of_its_parameter_when_tasks_reach_other_parameters(name):
    """Task c has a part of its own; steps without it have the same columns."""
    torch.manual_seed(0)
    parts = nn.ModuleList([nn.Linear(3, 2), nn.Linear(3, 2)])
    x = torch.randn(5, 3)
    told, balancer = list(parts.parameters()), make(name, "abc")

    def losses():
        first, second = (part(x).square().mean() for part in parts)
        return {"c": second + first, "a": first, "b": 2 * first + 1}

    for tasks in ("abc", "ab", "ca"):
        backward({task: losses()[task] for task in tasks}, balancer, shared=told)
        for key in balancer.column_state:
            state = getattr(balancer, key)
            assert state.shape == (3, 16)
            assert not state[:2, 8:].any()
            assert state[2, 8:].all()


@pytest.mark.parametrize("name", WEIGHING)
def test_a_step_reports_weights_and_they_can_weigh_the_heads(name):
    encoder, heads, losses = model()
    plain = torch.autograd.grad(sum(losses().values()), heads[1].weight)[0]
    result = backward(losses(), make(name, "ab"), shared=encoder)
    assert_close(heads[1].weight.grad, plain)
    heads[1].weight.grad = None
    result = backward(losses(), make(name, "ab"), shared=encoder, heads="weighted")
    assert_close(heads[1].weight.grad, plain * result.weights["b"].float())


@pytest.mark.parametrize("name", REMEMBERING)
def test_micro_batches_are_one_step(name):
    encoder, _, losses = model()
    whole, parts = make(name, "ab"), make(name, "ab")
    for _ in range(2):
        encoder.zero_grad()
        backward(losses(), whole, shared=encoder)
        expected = encoder.weight.grad.clone()
        encoder.zero_grad()
        halves = [{task: loss / 2 for task, loss in losses().items()} for _ in range(2)]
        first = backward(halves[0], parts, shared=encoder, solve=False)
        backward(halves[1], parts, shared=encoder, previous=first)
        assert_close(encoder.weight.grad, expected)
    assert_close(parts.state_dict(), whole.state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_scaler_changes_nothing(name):
    encoder, heads, losses = model()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    backward(losses(), make(name, "ab"), shared=encoder)
    expected = [p.grad.clone() for p in (*encoder.parameters(), *heads.parameters())]
    encoder.zero_grad(), heads.zero_grad()
    backward(losses(), make(name, "ab"), shared=encoder, scaler=scaler)
    for parameter, gradient in zip(
        (*encoder.parameters(), *heads.parameters()), expected, strict=True
    ):
        assert_close(parameter.grad / 2**16, gradient)


# DB-MTL --------------------------------------------------------------------------------------


def test_db_mtl_makes_log_gradients_as_long_as_the_longest():
    ones = torch.ones(2, dtype=torch.float64)
    d = make("db_mtl", "ab", beta=0.0)(O, ones)
    assert_close(d, torch.tensor([4.0, 4.0]).double(), rtol=1e-6, atol=0)


def test_db_mtl_does_not_see_the_scale_of_a_loss():
    rows, losses = torch.as_tensor(gradients("plain", 3, 0)), losses_of(3)
    factors = torch.tensor([1e-3, 1.0, 1e3]).double()
    plain, scaled = make("db_mtl", "abc"), make("db_mtl", "abc")
    for _ in range(3):
        assert_close(
            scaled(rows * factors[:, None], losses * factors),
            plain(rows, losses),
            rtol=1e-4,
            atol=0,
        )


def test_db_mtl_first_step_is_as_long_as_all_others():
    """A mean that begins at 0 makes the first step a tenth as long."""
    balancer = make("db_mtl", "ab")
    lengths = [step(balancer, O).norm().item() for _ in range(20)]
    assert lengths == pytest.approx([lengths[0]] * 20)


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_db_mtl_is_the_running_mean_of_the_paper_but_for_its_bias(decay):
    rng, beta = np.random.default_rng(0), 0.9
    balancer = make("db_mtl", "ab", beta=beta, decay=decay)
    mean, mass = np.zeros((2, 4)), 0.0
    for t in range(1, 8):
        rows = rng.normal(size=(2, 4))
        logs = rows / (losses_of(2).numpy()[:, None] + 1e-8)
        share = beta / t**decay
        mean, mass = logs + share * (mean - logs), share * mass + 1 - share
        lengths = np.linalg.norm(mean / mass, axis=1)
        expected = (lengths.max() / lengths) @ (mean / mass)
        np.testing.assert_allclose(step(balancer, rows), expected, rtol=1e-5)


def test_db_mtl_needs_losses_that_have_a_logarithm():
    with pytest.raises(InputError, match="the loss of b is negative"):
        make("db_mtl", "ab")(O, torch.tensor([1.0, -1.0]))
    with pytest.raises(InputError, match="pass them too"):
        combine(O, make("db_mtl", "ab"))


@pytest.mark.parametrize("name", NAMES)
def test_losses_that_are_not_one_per_task_are_a_clear_error(name):
    with pytest.raises(InputError, match=r"losses has shape \(1,\), expected \(2,\)"):
        make(name, "ab")(O, torch.ones(1))


# MoCo ----------------------------------------------------------------------------------------


def test_moco_comes_to_the_minimum_norm_point_of_constant_gradients():
    balancer = make("moco", "ab", beta=1.0, gamma=0.1, decay=0.0, scale="paper")
    for _ in range(60):
        d = balancer(O)
    assert_close(balancer.share, torch.tensor([0.64, 0.36]), rtol=0, atol=1e-5)
    assert_close(d, torch.tensor([1.92, 1.44]).double(), rtol=0, atol=1e-5)


@given(rows=jacobians(("plain", "conflicting"), 3, 3))
def test_moco_with_constant_gradients_is_mgda_in_the_end(rows):
    rows = torch.as_tensor(rows / np.linalg.norm(rows))
    balancer = make("moco", "abc", gamma=1.0, decay=0.0, scale="paper")
    shortest = MGDA(list("abc"), scale="paper")(rows @ rows.T) @ rows
    expected = pytest.approx(shortest.norm().item(), abs=2e-3)
    steps = (balancer(rows).norm().item() for _ in range(2000))
    assert any(norm == expected for norm in steps)
    assert [balancer(rows).norm().item() for _ in range(20)] == [expected] * 20


def test_moco_is_the_recursion_of_the_paper():
    rng = np.random.default_rng(0)
    balancer = make("moco", "abc", gamma=0.2, rho=0.3, scale="paper")
    share, tracked = np.full(3, 1 / 3), None
    for t in range(1, 7):
        rows = rng.normal(size=(3, 5))
        tracked = rows if t == 1 else tracked - 0.5 / t**0.5 * (tracked - rows)
        moved = share - 0.2 / t**0.5 * (tracked @ tracked.T + 0.3 * np.eye(3)) @ share
        share = nearest_on_simplex(moved)
        np.testing.assert_allclose(balancer(torch.as_tensor(rows)), share @ tracked, atol=1e-5)


def nearest_on_simplex(point):
    """By bisection on the threshold."""
    low, high = point.min() - 1, point.max()
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(point - middle, 0).sum() > 1 else (low, middle)
    return np.maximum(point - low, 0)


def test_moco_divides_no_more_among_present_tasks_than_they_have():
    balancer = make("moco", "abc")
    for _ in range(5):
        step(balancer, O, torch.tensor([0, 1]))
    assert_close(balancer.share[:2].sum().item(), 2 / 3)
    assert balancer.share[0] > balancer.share[1] + 0.1
    assert_close(balancer.weights.sum().item(), 2.0)


def test_moco_goes_on_when_all_of_the_share_was_with_absent_tasks():
    balancer = make("moco", "abc")
    balancer.share.copy_(torch.tensor([0.0, 0.0, 1.0]))
    assert_close(step(balancer, O, torch.tensor([0, 1])).isfinite().all(), torch.tensor(True))
    assert_close(balancer.weights.sum().item(), 2.0)
    assert balancer.share[:2].sum() > 0


# ExcessMTL -----------------------------------------------------------------------------------


def test_excess_keeps_weights_equal_while_risks_fall_alike():
    balancer = make("excess", "ab", eta=0.5)
    for factor in (1.0, 0.5, 0.25):
        step(balancer, factor * torch.tensor([[30.0, 0.0], [0.0, 0.4]]))
    assert_close(balancer.weights, torch.ones(2).double(), rtol=1e-3, atol=0)


def test_excess_weighs_up_the_task_that_stays_behind():
    balancer = make("excess", "ab", eta=0.1)
    for factor in (1.0, 0.5, 0.1):
        step(balancer, [[1.0, 0.0], [0.0, factor]])
    assert balancer.weights[0] > 1.01
    assert balancer.weights.sum().item() == pytest.approx(2)


def test_excess_is_the_recursion_of_the_paper():
    rng = np.random.default_rng(0)
    balancer = make("excess", "abc", eta=0.3)
    squares, weights, first = np.zeros((3, 5)), np.ones(3), None
    for t in range(6):
        rows = rng.normal(size=(3, 5))
        squares += rows**2
        estimate = (rows**2 / np.sqrt(squares + 1e-7)).sum(axis=1)
        first = estimate if t == 0 else first
        weights = weights * np.exp(0.3 * estimate / first)
        weights *= 3 / weights.sum()
        np.testing.assert_allclose(step(balancer, rows), weights @ rows, rtol=1e-5, atol=1e-6)


def test_a_task_weight_leaves_the_weights_of_excess_alone():
    plain, weighted = make("excess", "ab"), make("excess", "ab")
    weighted.set_weight("a", 10.0)
    for seed in range(4):
        rows = gradients("plain", 2, seed)
        step(plain, rows), step(weighted, rows)
    assert_close(weighted.weights, plain.weights * torch.tensor([10.0, 1.0]), rtol=1e-5, atol=0)


def test_a_task_weight_that_changes_leaves_the_weights_of_excess_alone():
    plain, weighted = make("excess", "ab", eta=0.5), make("excess", "ab", eta=0.5)
    for seed in range(6):
        if seed == 2:
            weighted.set_weight("a", 10.0)
        rows = gradients("plain", 2, seed)
        step(plain, rows), step(weighted, rows)
    assert_close(weighted.weights, plain.weights * torch.tensor([10.0, 1.0]), rtol=1e-5, atol=0)
