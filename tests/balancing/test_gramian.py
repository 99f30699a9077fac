"""Every balancer that reads inner products: properties, references, values from the papers."""

import itertools
import math

import numpy as np
import pytest
import torch
from gradients import INDEPENDENT, KINDS, gradients, jacobians
from hypothesis import given
from hypothesis import strategies as st
from quick_cases import others_slow
from torch.testing import assert_close

from motet.balancing.families import GramianBalancer
from motet.balancing.gradvac import vaccinate
from motet.balancing.pcgrad import project_conflicts
from motet.problems import InputError
from motet.registry import BALANCERS as REGISTRY

BALANCERS = {
    name: REGISTRY[name] for name in REGISTRY if issubclass(REGISTRY[name], GramianBalancer)
}
ORDERED = ("pcgrad", "gradvac")  # the order in which tasks meet is drawn by position
DEGREE = {"nash": 0.0, "fairgrad": -1 / 3}  # of d in the gradients, in the paper's scale
MAY_CONFLICT = {
    "pcgrad": "a projection may undo an earlier one",
    "gradvac": "as pcgrad",
    "cagrad": "for c < 1 the mean gradient is too near",
    "aligned": "it equalises lengths, not gains",
    "pcd": "it protects tasks of higher priority only",
}

O = torch.tensor([[3.0, 0.0], [0.0, 4.0]], dtype=torch.float64)  # noqa: E741  # methods.md
C = torch.tensor([[1.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)
C2 = torch.tensor([[1.0, 0.0], [-3.0, 1.0]], dtype=torch.float64)
S = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
N = torch.tensor([[1.0, 0, 0], [-1, 0.5, 0], [-0.5, -1, 1]], dtype=torch.float64)


def names(count):
    return [f"t{index}" for index in range(count)]


def make(name, count, **options):
    return BALANCERS[name](names(count), **options)


def direction(balancer, rows, losses=None, present=None):
    rows = torch.as_tensor(rows, dtype=torch.float64)
    return balancer(rows @ rows.T, losses, present) @ rows


def every_balancer(function):
    return pytest.mark.parametrize("name", BALANCERS)(function)


# Properties ----------------------------------------------------------------------------------


@every_balancer
@given(rows=jacobians())
def test_every_kind_of_gradients_gives_a_finite_direction(name, rows):
    balancer = make(name, len(rows))
    assert direction(balancer, rows).isfinite().all()
    if rows.any() and balancer.status != "ok":
        assert len(balancer.status) > 20  # says what was done instead


@every_balancer
@pytest.mark.parametrize("count", [1, 2, 3, 33, 64])
def test_up_to_64_tasks(name, count):
    balancer = make(name, count)
    assert direction(balancer, gradients("plain", count, seed=0)).isfinite().all()
    assert balancer.status == "ok" or name in ("imtl_g", "imtl")  # whose weights may cancel


@every_balancer
@given(rows=jacobians(INDEPENDENT, smallest=2), data=st.data())
def test_the_order_of_the_tasks_does_not_matter(name, rows, data):
    if name in ORDERED and len(rows) > 2:
        return
    order = data.draw(st.permutations(range(len(rows))))
    options = {"priorities": names(len(rows))} if name == "pcd" else {}
    one = make(name, len(rows), **options)
    other = BALANCERS[name]([names(len(rows))[index] for index in order], **options)
    size = np.abs(rows).max()
    assert_close(direction(one, rows), direction(other, rows[order]), rtol=1e-5, atol=1e-6 * size)


@every_balancer
@pytest.mark.parametrize("scale", others_slow([1e-8, 1e8], [1e-8, 1e-6, 1e-3, 1e3, 1e6, 1e8]))
@given(rows=jacobians(INDEPENDENT, smallest=2))
def test_the_size_of_the_gradients_does_not_matter(name, scale, rows):
    options = {"max_norm": None} if name in DEGREE else {}
    expected = direction(make(name, len(rows), **options), rows)
    scaled = direction(make(name, len(rows), **options), scale * rows)
    factor = scale ** DEGREE.get(name, 1.0)
    assert_close(scaled / factor, expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))


@every_balancer
@given(rows=jacobians(("plain", "agreeing", "conflicting"), smallest=2))
def test_no_task_gets_worse(name, rows):
    balancer = make(name, len(rows))
    d = direction(balancer, rows)
    if name in MAY_CONFLICT or balancer.status != "ok":
        return
    lengths = torch.as_tensor(np.linalg.norm(rows, axis=1))
    assert (torch.as_tensor(rows) @ d >= -1e-7 * lengths * d.norm() - 1e-9).all()


@pytest.mark.parametrize("name", MAY_CONFLICT)
def test_those_that_may_conflict_do_so_on_an_example(name):
    found = any(
        (torch.as_tensor(rows) @ direction(make(name, 4), rows)).min() < -1e-6
        for rows in (gradients("conflicting", 4, seed) for seed in range(40))
    )
    assert found, f"{name} need not be in MAY_CONFLICT"


@every_balancer
@given(length=st.sampled_from([1e-6, 0.5, 1e6]))
def test_one_task_alone_gives_its_gradient(name, length):
    row = length * torch.tensor([[0.6, 0.8]], dtype=torch.float64)
    for scale in ("sum", "mean"):
        assert_close(direction(make(name, 1, scale=scale), row), row[0])
    expected = row[0] if name not in DEGREE else row[0] * min(1, 1 / length)  # max_norm
    assert_close(direction(make(name, 1, scale="paper"), row), expected)


@every_balancer
@pytest.mark.parametrize("count", [2, 3, 7])
def test_equal_gradients_give_their_sum_in_the_sum_scale(name, count):
    row = torch.tensor([3.0, -4.0], dtype=torch.float64)
    rows = row.repeat(count, 1)
    assert_close(direction(make(name, count, scale="sum"), rows), count * row)
    assert_close(direction(make(name, count, scale="mean"), rows), row)


@every_balancer
def test_what_is_not_finite_gives_nan_and_leaves_the_state_alone(name):
    balancer = make(name, 2, every=2)
    before = {key: value.clone() for key, value in balancer.state_dict().items()}
    assert balancer(torch.tensor([[1.0, torch.inf], [torch.inf, 1.0]])).isnan().all()
    assert "not finite" in balancer.status
    assert_close(balancer.state_dict(), before, rtol=0, atol=0)


@every_balancer
@given(
    before=st.lists(jacobians(("plain",), 3, 3), max_size=3),
    after=st.lists(jacobians(("plain",), 3, 3), min_size=1, max_size=3),
    every=st.integers(1, 3),
    momentum=st.sampled_from([0.0, 0.9]),
)
def test_a_resumed_balancer_goes_on_as_if_it_had_never_stopped(
    name, before, after, every, momentum
):
    kept, resumed = (make(name, 3, every=every, momentum=momentum) for _ in range(2))
    for rows in before:
        direction(kept, rows)
    resumed.load_state_dict(kept.state_dict())
    for rows in after:
        assert_close(direction(resumed, rows), direction(kept, rows), rtol=0, atol=0)


@every_balancer
def test_state_follows_the_names_of_the_tasks(name):
    saved = make(name, 3, every=3, momentum=0.5)
    direction(saved, gradients("plain", 3, 0))
    moved = BALANCERS[name](["t2", "new", "t0"], every=3, momentum=0.5)
    moved.load_state_dict(saved.state_dict())
    for key, axes in moved.task_axes.items():
        here, there = (np.ix_(*[index] * axes) for index in ([2, 0], [0, 2]))
        assert_close(getattr(moved, key).data[here], getattr(saved, key).data[there])


@every_balancer
def test_weights_are_kept_for_the_steps_asked_for_while_the_same_tasks_are_present(name):
    balancer = make(name, 3, every=2, scale="sum")
    first, second = (torch.as_tensor(gradients("plain", 3, seed)) for seed in (1, 2))
    found = balancer(first @ first.T)
    assert_close(balancer(second @ second.T), found, rtol=1e-6, atol=1e-6)  # kept in float32
    assert (balancer(second @ second.T) - found).abs().max() > 1e-3 or name in ORDERED
    two = torch.tensor([2, 0])
    assert_close(
        balancer((first @ first.T)[two][:, two], None, two),
        make(name, 3, scale="sum")((first @ first.T)[two][:, two], None, two),
    )


@every_balancer
def test_momentum_mixes_new_weights_with_those_before(name):
    plain, smooth = make(name, 3), make(name, 3, momentum=0.9)
    expected = None
    for seed in range(4):
        rows = torch.as_tensor(gradients("plain", 3, seed))
        new = plain(rows @ rows.T)
        expected = new if expected is None else 0.9 * expected + 0.1 * new
        assert_close(smooth(rows @ rows.T), expected, rtol=1e-5, atol=1e-6)


@every_balancer
def test_momentum_leaves_absent_tasks_and_single_ones_alone(name):
    balancer = make(name, 3, momentum=0.5)
    direction(balancer, gradients("plain", 3, 0))
    before = balancer.running.clone()
    direction(balancer, gradients("plain", 2, 1), present=torch.tensor([2, 0]))
    assert balancer.running[1] == before[1]
    before = balancer.running.clone()
    assert balancer(torch.tensor([[4.0]]), None, torch.tensor([0])) <= 1
    assert_close(balancer.running, before, rtol=0, atol=0)


@every_balancer
def test_a_caller_may_skip_the_gramian_while_weights_are_kept(name):
    balancer, all_three = make(name, 3, every=2), torch.arange(3)
    assert balancer.reuse(all_three) is None
    direction(balancer, gradients("plain", 3, 0))
    assert balancer.reuse(all_three) is not None
    assert balancer.reuse(all_three) is None


@every_balancer
def test_weights_found_together_are_void_once_one_of_them_is_found_anew(name):
    balancer = make(name, 3, every=3)
    rows = torch.as_tensor(gradients("plain", 3, 0))
    balancer(rows @ rows.T)
    two = torch.tensor([1, 2])
    balancer(rows[1:] @ rows[1:].T, None, two)
    assert balancer.reuse(torch.tensor([0])) is None
    assert balancer.reuse(torch.tensor([1])) is None  # found with the third
    assert balancer.reuse(two) is not None


@every_balancer
def test_a_changed_task_weight_acts_at_the_next_step(name):
    balancer = make(name, 2, every=5)
    if balancer.refuses_weight:
        return
    before = direction(balancer, C)
    balancer.set_weight("t0", 2.0)
    assert (direction(balancer, C) - before).abs().max() > 1e-3


@every_balancer
@pytest.mark.parametrize("count", [2, 3])
def test_equal_gradients_have_equal_weights(name, count):
    weights = make(name, count)(torch.full((count, count), 4.0, dtype=torch.float64))
    assert_close(weights, weights.mean().expand(count), rtol=1e-6, atol=0)


@every_balancer
def test_a_gradient_of_zero_is_named_where_it_has_no_weight(name):
    balancer = make(name, 3)
    weights = balancer(torch.diag(torch.tensor([4.0, 0.0, 9.0])))
    assert (weights[1] != 0) == (balancer.status == "ok")
    assert weights[1] != 0 or "(gradient 0: t1)" in balancer.status


@every_balancer
def test_tasks_may_come_and_go(name):
    balancer = make(name, 5)
    for step, present in enumerate([(0, 1), (4, 2, 3), (1,), (0, 1, 2, 3, 4), (3, 0)]):
        rows = gradients("plain", len(present), step)
        assert direction(balancer, rows, present=torch.tensor(present)).isfinite().all()


@every_balancer
def test_a_task_weight_makes_the_task_count_more_or_is_refused(name):
    balancer = make(name, 2)
    before = O @ direction(balancer, O)
    if balancer.refuses_weight:
        with pytest.raises(InputError, match=r"takes no weight for 't0'.*(use|set)"):
            balancer.set_weight("t0", 2.0)
    else:
        balancer.set_weight("t0", 2.0)
        after = O @ direction(balancer, O)
        assert after[0] / after[1] > 1.1 * before[0] / before[1]


@every_balancer
def test_a_gramian_in_float32_will_do(name):
    rows = torch.as_tensor(gradients("plain", 4, 5))
    single = make(name, 4)((rows @ rows.T).float())
    assert single.dtype == torch.float64
    assert_close(single, make(name, 4)(rows @ rows.T), rtol=1e-3, atol=1e-4)


@every_balancer
def test_a_wrong_shape_is_a_clear_error(name):
    with pytest.raises(InputError, match=r"shape \(3, 3\), expected \(2, 2\)"):
        make(name, 2)(torch.eye(3))
    with pytest.raises(InputError, match=r"losses has shape \(1,\), expected \(2,\)"):
        make(name, 2)(torch.eye(2), torch.ones(1))


class Given(GramianBalancer):
    """The same weights every time."""

    def __init__(self, weights, **options):
        super().__init__(["a", "b"], **options)
        self.given = weights

    def forward(self, gramian, losses, present):
        return self.given


def test_one_method_makes_a_balancer():
    class Smallest(GramianBalancer):
        def forward(self, gramian, losses, present):
            return (gramian.diagonal() == gramian.diagonal().min()).double()

    assert_close(direction(Smallest(["a", "b"]), O), O[0])


def test_a_task_weight_scales_the_gradient_that_a_balancer_of_ones_own_sees():
    class Seen(Given):
        def forward(self, gramian, losses, present):
            self.gramian = gramian
            return self.given

    balancer = Seen(torch.ones(2))
    balancer.set_weight("a", 2.0)
    assert_close(direction(balancer, O), torch.tensor([6.0, 4.0]).double())
    assert balancer.gramian.diagonal().tolist() == [36.0, 16.0]


@pytest.mark.parametrize("options", [{"momentum": 0.5}, {"every": 2}, {"scale": "mean"}])
def test_weights_of_ones_own_may_be_in_single_precision(options):
    balancer = Given(torch.ones(2, requires_grad=True), **options)
    for _ in range(2):
        weights = balancer(torch.eye(2))
        assert weights.dtype == torch.float64
        assert not weights.requires_grad


@pytest.mark.parametrize(
    ("weights", "found"), [([1.0, 1.0], "list"), (torch.ones(3), r"shape \(3,\)")]
)
def test_what_is_no_weight_per_task_is_a_clear_error(weights, found):
    with pytest.raises(InputError, match=f"Given returned {found}, expected weights \\(2,\\)"):
        Given(weights)(torch.eye(2))


# Values from the papers, in their scale (methods.md, section 3) -------------------------------

r2 = math.sqrt(2)
T5 = (24 + math.sqrt(107.25)) / 50


@pytest.mark.parametrize(
    ("name", "options", "rows", "d"),
    [
        ("mgda", {}, O, [1.92, 1.44]),
        ("mgda", {}, C, [0.2, 0.4]),
        ("mgda", {}, [[1.0, 0.0], [2.0, 0.0]], [1, 0]),
        ("mgda", {}, [[1.0, 0.0], [10.0, 0.0]], [1, 0]),  # a clamped step size gives 1.009
        ("mgda", {}, [[1e-3, 0.0], [0.0, 1.0]], [1e-3, 1e-6]),
        ("mgda", {"normalize": "l2"}, O, [1.5, 2]),  # normalised rows find w, and are not used
        ("pcgrad", {}, O, [3, 4]),
        ("pcgrad", {}, C, [0.5, 1.5]),
        ("pcgrad", {}, C2, [0.1, 1.3]),
        ("gradvac", {}, C, [0.5, 1.5]),
        ("cagrad", {"c": 0.0}, C, [0, 0.5]),
        ("cagrad", {"c": 0.4}, S, [1.4, 0]),
        ("cagrad", {"c": 0.5}, O, [4 * T5, 3 * T5]),
        ("imtl_g", {}, O, [12 / 7, 12 / 7]),
        ("imtl_g", {}, C, [(r2 - 1) / (1 + r2), 1 / (1 + r2)]),
        ("nash", {"max_norm": None}, O, [1, 1]),
        ("nash", {}, O, [r2 / 2, r2 / 2]),
        ("nash", {"max_norm": None}, C, [0.541196, 1.306563]),
        ("fairgrad", {"alpha": 1.0, "max_norm": None}, C, [0.541196, 1.306563]),
        ("fairgrad", {"alpha": 2.0}, O, [0.693361, 0.629961]),
        ("aligned", {}, O, [1.5, 1.5]),
        ("upgrad", {}, C, [0.25, 0.75]),
        ("upgrad", {}, C2, [0.05, 0.65]),
        ("dualproj", {}, C, [0, 0.5]),
        ("dualproj", {}, C2, [0, 0.5]),
        ("conflict_free", {}, O, [3.5, 3.5]),
        ("conflict_free", {}, C, [r2 / 4, 0.5 + r2 / 4]),
    ],
)
def test_known_directions(name, options, rows, d):
    rows = torch.as_tensor(rows, dtype=torch.float64)
    balancer = make(name, 2, scale="paper", **options)
    assert_close(direction(balancer, rows), torch.tensor(d).double(), rtol=0, atol=1e-6)
    assert balancer.status == "ok"


@pytest.mark.parametrize(
    ("name", "options", "rows", "weights"),
    [
        ("mgda", {}, O, [0.64, 0.36]),
        ("pcgrad", {}, C, [2, 1.5]),
        ("nash", {"max_norm": None}, C, [1.847759, 1.306563]),
        ("upgrad", {}, C, [1, 0.75]),
        ("upgrad", {}, C2, [2, 0.65]),
        ("dualproj", {}, C2, [1.5, 0.5]),
        ("conflict_free", {}, O, [7 / 6, 7 / 8]),
    ],
)
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_known_weights_at_any_size(name, options, rows, weights, size):
    """Absolute thresholds turn UPGrad and DualProj into the mean for small gradients."""
    balancer = make(name, 2, scale="paper", **options)
    factor = 1 / size if name == "nash" else 1.0
    expected = torch.tensor(weights).double() * factor
    assert_close(balancer(size**2 * (rows @ rows.T)), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("name", "weighted", "d"),
    [
        ("pcgrad", C, [1, 2 - 0.0]),
        ("upgrad", C, [0.5, 1]),
        ("dualproj", C, [0.5, 0.5]),
        ("conflict_free", O, [4, 2]),
    ],
)
def test_known_effects_of_a_task_weight(name, weighted, d):
    balancer = make(name, 2, scale="paper")
    balancer.set_weight("t0", 2.0)
    assert_close(direction(balancer, weighted), torch.tensor(d).double())


def test_a_task_weight_is_a_preference_of_aligned():
    balancer = make("aligned", 2, scale="sum")
    balancer.set_weight("t0", 2.0)
    assert_close(direction(balancer, O), torch.tensor([6.0, 3.0]).double())


@pytest.mark.parametrize(("alpha", "effect"), [(0.5, 2 ** (1 / 3)), (0.2, 2 ** (2 / 3))])
def test_a_task_weight_scales_fairgrad_the_less_the_fairer(alpha, effect):
    plain = make("fairgrad", 2, alpha=alpha, max_norm=None)
    weighted = make("fairgrad", 2, alpha=alpha, max_norm=None)
    weighted.set_weight("t0", 2.0)
    assert_close(direction(weighted, O)[0], effect * direction(plain, O)[0])


@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_fairgrad_refuses_weights_from_alpha_one_on(alpha):
    with pytest.raises(InputError, match="set alpha < 1"):
        make("fairgrad", 2, alpha=alpha).set_weight("t0", 2.0)


@pytest.mark.parametrize("name", ["upgrad", "dualproj"])
@given(rows=jacobians(INDEPENDENT, smallest=4, largest=4))
def test_a_preference_is_the_same_as_scaling_the_gradients(name, rows):
    weights, balancer = [2.0, 1.0, 0.5, 3.0], make(name, 4)
    for task, weight in zip(balancer.tasks, weights, strict=True):
        balancer.set_weight(task, weight)
    scaled = torch.tensor(weights).double()[:, None] * torch.as_tensor(rows)
    expected, size = direction(make(name, 4), scaled), np.abs(rows).max()
    assert_close(direction(balancer, rows), expected, rtol=1e-6, atol=1e-7 * size)


@pytest.mark.parametrize(("name", "options"), [("cagrad", {"c": 0.5}), ("aligned", {})])
def test_three_tasks_may_stay_in_conflict(name, options):
    assert (N @ direction(make(name, 3, **options), N)).min() < 0


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2, 5.0, 20.0])
@pytest.mark.parametrize("count", [2, 8])
def test_fairgrad_is_solved_for_any_fairness_and_uneven_gradients(alpha, count):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(count, 50)) * 10 ** rng.uniform(-1, 1, size=(count, 1))
    balancer = make("fairgrad", count, alpha=alpha, max_norm=None)
    d = direction(balancer, rows)
    assert balancer.status == "ok"
    lengths = torch.as_tensor(np.linalg.norm(rows, axis=1))
    assert (torch.as_tensor(rows) @ d > -1e-9 * lengths * d.norm()).all()


# PCGrad and GradVac: on inner products as on the gradients ------------------------------------


def orders_of(count, seed):
    rng = np.random.default_rng(seed)
    others = [[j for j in range(count) if j != i] for i in range(count)]
    return np.array([rng.permutation(each) for each in others]).reshape(count, count - 1)


@given(rows=jacobians(smallest=2), seed=st.integers(0, 99))
def test_pcgrad_on_the_gramian_is_pcgrad_on_the_gradients(rows, seed):
    orders, d = orders_of(len(rows), seed), np.zeros(rows.shape[1])
    for i, order in enumerate(orders):
        g = rows[i].copy()
        for j in order:
            if g @ rows[j] < -1e-14 * np.linalg.norm(rows[i]) * np.linalg.norm(rows[j]):
                g -= (g @ rows[j]) / (rows[j] @ rows[j]) * rows[j]
        d += g
    ours = project_conflicts(rows @ rows.T, orders) @ rows
    np.testing.assert_allclose(ours, d, atol=1e-6 * np.abs(rows).max())


@given(rows=jacobians(INDEPENDENT, smallest=2, largest=6), seed=st.integers(0, 99))
def test_gradvac_on_the_gramian_is_gradvac_on_the_gradients(rows, seed):
    count = len(rows)
    target = np.random.default_rng(seed).uniform(-0.3, 0.7, size=(count, count))
    expected, orders, d = target.copy(), orders_of(count, seed), np.zeros(rows.shape[1])
    for i, order in enumerate(orders):
        g = rows[i].copy()
        for j in order:
            length, other = np.linalg.norm(g), np.linalg.norm(rows[j])
            phi, aim = g @ rows[j] / (length * other), expected[i, j]
            if phi < aim:
                turn = aim * np.sqrt(max(0, 1 - phi**2)) - phi * np.sqrt(1 - aim**2)
                g += rows[j] * length * turn / (other * np.sqrt(1 - aim**2))
            expected[i, j] += 0.1 * (phi - expected[i, j])
        d += g
    ours = vaccinate(rows @ rows.T, target, orders, 0.1) @ rows
    np.testing.assert_allclose(target, expected, atol=1e-4)
    np.testing.assert_allclose(ours, d, rtol=1e-3, atol=1e-4 * np.abs(rows).max())


def test_three_conflicting_tasks_have_four_results_by_order():
    orders = itertools.product(*([(1, 2), (2, 1)], [(0, 2), (2, 0)], [(0, 1), (1, 0)]))
    gramian = (N @ N.T).numpy()
    found = {
        tuple((project_conflicts(gramian, np.array(each)) @ N.numpy()).round(4)) for each in orders
    }
    assert found == {
        (-0.4222, -0.3444, 1.4444),
        (-0.3111, -0.1222, 1.2222),
        (-0.0222, -0.5444, 1.4444),
        (0.0889, -0.3222, 1.2222),
    }


@pytest.mark.parametrize("name", ORDERED)
def test_orders_are_drawn_from_seed_and_step_alone(name):
    torch.manual_seed(1)
    one = [direction(balancer, N) for balancer in [make(name, 3)] for _ in range(8)]
    torch.manual_seed(2)
    other = [direction(balancer, N) for balancer in [make(name, 3)] for _ in range(8)]
    assert_close(one, other, rtol=0, atol=0)
    assert len({tuple(d.tolist()) for d in one}) > 1
    seeded = [direction(balancer, N) for balancer in [make(name, 3, seed=7)] for _ in range(8)]
    assert any((a - b).abs().max() > 1e-3 for a, b in zip(one, seeded, strict=True))


@given(rows=jacobians(("plain", "conflicting"), 4, 4), seed=st.integers(0, 99))
def test_a_task_weight_scales_the_projected_gradient_of_pcgrad(rows, seed):
    orders, pi = orders_of(4, seed), np.array([2.0, 1.0, 0.5, 3.0])
    weighted = project_conflicts((rows @ rows.T) * np.outer(pi, pi), orders) * pi
    separate = np.zeros(4)
    for i in range(4):
        counts = np.where(np.arange(4) == i, 1.0, 1e-12)  # the others are only in its way
        projected = project_conflicts((rows @ rows.T) * np.outer(counts, counts), orders) * counts
        separate += pi[i] * projected
    np.testing.assert_allclose(weighted @ rows, separate @ rows, atol=1e-9)


def test_after_a_step_of_gradvac_the_cosine_is_the_target():
    target = np.array([[0.0, 0.3], [-0.2, 0.0]])
    weights = np.array([[0.0, 0.0], [0.0, 0.0]])
    rows = C2.numpy()
    for i, j in ((0, 1), (1, 0)):
        size = np.where(np.arange(2) == i, 1.0, 1e-12)
        gramian = rows @ rows.T * np.outer(size, size)
        weights[i] = vaccinate(gramian, target.copy(), np.array([[1], [0]]), 0.0) * size
        g = weights[i] @ rows
        assert g @ rows[j] / np.linalg.norm(g) / np.linalg.norm(rows[j]) == pytest.approx(
            target[i, j]
        )


def test_gradvac_remembers_the_cosines_of_tasks_that_met():
    balancer = make("gradvac", 3, beta=0.5)
    direction(balancer, C, present=torch.tensor([0, 2]))
    expected = torch.zeros(3, 3)
    expected[0, 2] = expected[2, 0] = -0.5 / r2
    assert_close(balancer.target, expected)


# What one method alone promises --------------------------------------------------------------


def test_mgda_normalises_by_the_losses():
    balancer = make("mgda", 2, normalize="loss", scale="paper")
    assert_close(balancer(O @ O.T, torch.tensor([3.0, 4.0])), torch.tensor([0.5, 0.5]).double())
    balancer = make("mgda", 2, normalize="loss_l2", scale="paper")
    assert_close(balancer(O @ O.T, torch.tensor([2.0, 2.0])), torch.tensor([0.5, 0.5]).double())
    with pytest.raises(InputError, match="reads the losses"):
        balancer(O @ O.T)


@given(rows=jacobians(("plain",), smallest=2))
def test_nash_has_length_root_t_and_does_not_see_the_size_of_a_row(rows):
    balancer = make("nash", len(rows), max_norm=None)
    d = direction(balancer, rows)
    assert d.norm() == pytest.approx(math.sqrt(len(rows)))
    assert_close(direction(balancer, rows * np.logspace(-3, 3, len(rows))[:, None]), d)


@pytest.mark.parametrize("name", ["nash", "fairgrad"])
def test_a_clip_is_read_in_the_papers_scale_alone(name):
    with pytest.raises(InputError, match="max_norm: applies only with scale: paper, found"):
        make(name, 2, max_norm=0.1, scale="sum")
    assert direction(make(name, 2, max_norm=0.1), O).norm() == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["nash", "fairgrad"])
def test_the_weights_of_nash_and_fairgrad_sum_to_t_in_the_sum_scale(name):
    assert make(name, 2, scale="sum")(C @ C.T).sum() == pytest.approx(2)
    assert make(name, 2, scale="mean")(C @ C.T).sum() == pytest.approx(1)


@pytest.mark.parametrize("name", ["nash", "fairgrad"])
def test_no_common_descent_is_reported(name):
    balancer = make(name, 2)
    assert direction(balancer, [[1.0, 2.0], [-2.0, -4.0]]).norm() < 1e-6
    assert "no direction improves every task" in balancer.status
    direction(balancer, [[1.0, 2.0], [0.0, 0.0]])
    assert balancer.status.endswith("(gradient 0: t1)")
    direction(balancer, C)
    assert balancer.status == "ok"


def test_imtl_g_never_makes_every_task_worse_at_once():
    """The paper's normaliser is negative for some uneven gradients (methods, section 3)."""
    guarded = 0
    for seed in range(300):
        rows = gradients("uneven", 3, seed)
        balancer = make("imtl_g", 3)
        d = direction(balancer, rows)
        assert (torch.as_tensor(rows) @ d > 0).all()
        assert d.norm() <= 3 * np.linalg.norm(rows, axis=1).max() * 10
        guarded += "divided by those" in balancer.status
    assert guarded > 0


@given(rows=jacobians(("plain", "agreeing"), smallest=2))
def test_imtl_g_projects_equally(rows):
    d = direction(make("imtl_g", len(rows)), rows)
    projections = torch.as_tensor(rows / np.linalg.norm(rows, axis=1, keepdims=True)) @ d
    assert_close(projections, projections.mean().expand(len(rows)), rtol=1e-5, atol=1e-8)


@given(rows=jacobians(("plain", "agreeing"), smallest=2))
def test_the_cosines_of_conflict_free_are_proportional_to_the_weights(rows):
    balancer = make("conflict_free", len(rows))
    balancer.set_weight("t0", 2.0)
    d = direction(balancer, rows)
    cosines = torch.as_tensor(rows / np.linalg.norm(rows, axis=1, keepdims=True)) @ d / d.norm()
    assert_close(cosines[0] / 2, cosines[1], rtol=1e-5, atol=1e-8)


@given(rows=jacobians(("plain", "conflicting"), smallest=2, largest=2))
def test_upgrad_for_two_tasks_is_half_of_pcgrad(rows):
    paper = {"scale": "paper"}
    assert_close(
        direction(make("upgrad", 2, **paper), rows), direction(make("pcgrad", 2, **paper), rows) / 2
    )


@pytest.mark.parametrize("kind", KINDS)
def test_aligned_keeps_its_rank_when_tasks_change_places(kind):
    """Rounding that is taken for a direction would shrink the whole step to its size."""
    rows = gradients(kind, 4, seed=4)
    expected = direction(make("aligned", 4), rows)
    for order in itertools.permutations(range(4)):
        assert_close(
            direction(make("aligned", 4), rows[list(order)]), expected, rtol=1e-4, atol=1e-6
        )


@pytest.mark.parametrize("name", ["upgrad", "dualproj"])
@pytest.mark.parametrize("count", [8, 32])
@pytest.mark.parametrize("width", [1, 2, 4])
def test_no_task_is_harmed_beyond_the_rounding_of_dependent_gradients_in_float32(
    name, count, width
):
    rows = np.random.default_rng(count).normal(size=(count, width)).astype(np.float32)
    single = torch.from_numpy(rows)
    balancer = make(name, count)
    d = balancer(single @ single.T).numpy() @ rows.astype(np.float64)
    assert balancer.status == "ok"
    lengths = np.linalg.norm(rows, axis=1)
    assert (rows @ d / lengths >= -1e-5 * lengths.max()).all()


@pytest.mark.parametrize("name", ["nash", "fairgrad"])
def test_no_common_descent_is_recognised_in_float32(name):
    rows = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    balancer = make(name, 8)
    balancer(rows @ rows.T)
    assert "no direction improves every task" in balancer.status
