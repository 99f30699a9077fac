"""Every registered loss balancer: state by name, task weights; known answers of uncertainty.

Those that read gradients are in test_gramian.py and test_graddrop.py.
"""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from steps import look_ahead, step
from torch.testing import assert_close

from motet.balancing import LossBalancer, available, backward, create
from motet.options import read_options
from motet.problems import InputError
from motet.registry import BALANCERS
from motet.tasks import Count, Regression

TASKS = ("a", "b", "c")
NAMES = [name for name in available() if issubclass(BALANCERS[name], LossBalancer)]
DRAWN_BY_PLACE = {"random"}  # its draws follow the order of the tasks
OF_THE_LAST_STEP = {("famo", "before")}  # says which tasks that step had
OPTIONS = {"manual": {"weights": {"a": 1.0, "b": 0.5, "c": 3.0}}}
LOSSES = st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=3).map(torch.tensor)


STEPS = st.tuples(LOSSES, st.sampled_from([[0, 1, 2], [2, 0], [1]]).map(torch.tensor))


def make(name, tasks=TASKS):
    return create(name, tasks, **OPTIONS.get(name, {}))


def disturb(balancer):
    """Give every state a value of its own."""
    for index, key in enumerate(("task_weights", *balancer.task_axes)):
        tensor = getattr(balancer, key)
        tensor.data += torch.arange(tensor.numel()).reshape(tensor.shape) * 0.1 + index
    return balancer


@pytest.mark.parametrize("name", NAMES)
@given(losses=LOSSES)
def test_a_loaded_balancer_combines_as_the_saved_one_did(name, losses):
    saved, loaded = disturb(make(name)), make(name)
    loaded.load_state_dict(saved.state_dict())
    assert_close(step(loaded, losses), step(saved, losses), rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
@given(before=st.lists(STEPS, max_size=4), after=st.lists(STEPS, min_size=1, max_size=4))
def test_a_resumed_balancer_goes_on_as_if_it_had_never_stopped(name, before, after):
    kept, resumed = make(name), make(name)
    for losses, present in before:
        step(kept, losses[present], present)
    resumed.load_state_dict(kept.state_dict())
    for losses, present in after:
        ours, theirs = (step(each, losses[present], present) for each in (resumed, kept))
        assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
@given(losses=LOSSES)
def test_the_state_of_an_absent_task_stays_as_it_is(name, losses):
    balancer = make(name)
    step(balancer, [1.0, 2.0, 3.0])
    keys = [key for key in balancer.task_axes if (name, key) not in OF_THE_LAST_STEP]
    before = {key: getattr(balancer, key).detach().clone() for key in keys}
    for _ in range(2):
        assert step(balancer, losses[:2], torch.tensor([2, 0])).isfinite().all()
    for key, value in before.items():
        assert_close(getattr(balancer, key).detach()[1], value[1], rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_state_is_loaded_by_task_name(name):
    saved = disturb(make(name))
    moved = create(name, ("c", "new", "a"), **_options(name, ("c", "new", "a")))
    before = moved.task_weights[1].item()
    moved.load_state_dict(saved.state_dict())
    for key in ("task_weights", *moved.task_axes):
        ours, theirs = getattr(moved, key), getattr(saved, key)
        assert_close(ours[[2, 0]].data, theirs[[0, 2]].data)
    assert moved.task_weights[1].item() == before


def _options(name, tasks):
    return {"weights": dict.fromkeys(tasks, 1.0)} if name == "manual" else {}


@pytest.mark.parametrize("name", NAMES)
def test_a_task_weight_acts_or_is_refused(name):
    balancer, again = make(name), make(name)
    if balancer.refuses_weight:
        with pytest.raises(InputError, match="takes no weight for 'a'"):
            balancer.set_weight("a", 2.0)
    else:
        again.set_weight("a", again.weight("a") * 2)
        before, after = (step(each, [1.0, 2.0, 3.0]) for each in (balancer, again))
        assert after[0] / after[1] > before[0] / before[1]


@pytest.mark.parametrize("name", sorted(set(NAMES) - DRAWN_BY_PLACE))
def test_the_order_of_the_tasks_does_not_matter(name):
    forth, back = make(name), make(name, TASKS[::-1])
    for losses in ([0.5, 2.0, 7.0], [0.4, 2.1, 3.0], [0.3, 2.2, 1.0]):
        assert_close(step(back, losses[::-1]).flip(0), step(forth, losses), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_scaler_scales_the_gradient_and_nothing_that_is_learned(name):
    """Logarithms, first losses and norms are of unscaled losses."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    scaler.scale(torch.ones(()))  # it finds its scale when first used
    shared = torch.tensor([[0.3, 0.6], [0.5, 0.1]], dtype=torch.float64, requires_grad=True)
    found = []
    for used in (None, scaler):
        balancer = make(name)
        for number in range(3):
            shared.grad = None
            state = torch.tanh(shared @ torch.tensor([1.0, number], dtype=torch.float64))
            losses = {task: (state - k).square().sum() for k, task in enumerate(TASKS, start=2)}
            look_ahead(balancer, TASKS)
            result = backward(losses, balancer, scaler=used)
        gradient = shared.grad / (2.0**10 if used else 1)
        found.append((gradient, dict(result.weights), balancer.state_dict()))
    assert_close(found[1], found[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: create("manul", TASKS), "did you mean 'manual'"),
        (lambda: create("manual", TASKS, weights={"a": 1.0}), "found no value for b, c"),
        (lambda: create("manual", ["a"], weights={"a": 1.0, "z": 1.0}), "'z', which is not a task"),
        (lambda: create("manual", ["a"], weights={"a": -1.0}), "expected a number > 0"),
        (lambda: create("manual", ["a"], weigths={"a": 1.0}), "did you mean 'weights'"),
        (lambda: create("equal", []), "expected one or more names"),
        (lambda: create("equal", ["a", "a"]), "each once"),
        (lambda: create("equal", [1, 2]), r"tasks: found \[1, 2\], expected one or more names"),
        (lambda: create("equal", ["a"]).set_weight("a", "2"), "'2', expected a finite number > 0"),
        (lambda: create("equal", ["a"]).set_weight("a", True), "True, expected a finite number"),
        (lambda: create("equal", ["a"]).set_weight("a", None), "None, expected a finite number"),
        (
            lambda: create("dwa", ["a"]).end_epoch({"a": None}),
            "means: found null for 'a', expected",
        ),
        (
            lambda: create("focal", ["a"]).observe_scores({"a": "1"}),
            "scores: found '1' for 'a', ex",
        ),
        (
            lambda: create("dwa", ["a"]).end_epoch([1.0]),
            r"means: found \[1.0\], expected a mapping",
        ),
        (lambda: create("stch", ["a"], unit="steps"), "unit: applies only with warmup"),
        (lambda: create("gradnorm", ["a"], alpha=math.inf), "found inf, expected a finite number"),
        (lambda: create("uncertainty", ["a"], initial=math.nan), "expected a finite number"),
        (lambda: create("uncertainty", ["a"], initial=True), "expected a number"),
        (lambda: create("equal", ["a"], c=1), "has no option 'c'; none is known"),
        (lambda: create("equal", ["a"]).set_weight("a", math.nan), "expected a finite number > 0"),
        (lambda: create("equal", ["a"])(torch.ones(2)), r"shape \(2,\), expected \(1,\)"),
        (
            lambda: create("uncertainty", ["a"], kinds={"a": "laplace"}, form="revised"),
            "only with form: kendall",
        ),
        (
            lambda: create("uncertainty", ["a"], kinds={"a": "likelihood"}, initial={"a": 1.0}),
            "initial: found 1.0 for 'a', whose loss is a likelihood",
        ),
    ],
)
def test_wrong_use_is_a_clear_error(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_numbers_of_numpy_and_torch_are_numbers():
    balancer = create("dwa", ["a"])
    for number in (np.float32(2), np.int64(2), torch.tensor(2.0)):
        balancer.set_weight("a", 1.0)
        balancer.set_weight("a", number)
        balancer.end_epoch({"a": number})
        assert balancer.weight("a") == balancer.means[0, -1] == 2


def test_the_docs_have_every_balancer_in_every_table():
    text = (Path(__file__).parents[2] / "docs" / "balancers.md").read_text(encoding="utf-8")
    what, differences, options = text.split("\n## ")[1:4]
    assert set(_first_column(what)) == set(_first_column(differences)) == set(available())
    own = {name: read_options(BALANCERS, name) for name in available()}
    common = {"scale", "losses", "unit", "every", "momentum"}
    listed = dict(line.split("|")[1:3] for line in options.splitlines() if line.startswith("| `"))
    assert {name.strip(" `") for name in listed} == {
        name for name, found in own.items() if {option.name for option in found} - common
    }
    for name, text in listed.items():
        for option in own[name.strip(" `")]:
            assert option.name in common or f"`{option.name}" in text, (name, option.name)


def _first_column(text):
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [name.strip(" `") for row in rows for name in row.split(",")]


# Uncertainty (methods, section 2) ------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "optimum", "weight"),
    [
        ({"kinds": {"a": "regression"}}, math.log(0.3), 1 / 0.6),
        ({"kinds": {"a": "classification"}}, math.log(0.6), 1 / 0.6),
        ({"kinds": {"a": "laplace"}}, math.log(0.3), 1 / 0.3),
    ],
)
def test_uncertainty_settles_where_theory_says(options, optimum, weight):
    balancer = create("uncertainty", ["a"], **options)
    optimizer = torch.optim.Adam(balancer.parameters(), lr=0.05)
    for _ in range(600):
        loss = torch.tensor([0.3], requires_grad=True)
        optimizer.zero_grad()
        balancer(loss).backward()
        optimizer.step()
    assert balancer.log_variance.item() == pytest.approx(optimum, abs=1e-3)
    assert loss.grad.item() == pytest.approx(weight, rel=1e-3)


@pytest.mark.parametrize(("loss", "optimum"), [(1.0, 1.0), (0.1, 0.25), (7.0, 4.311738)])
def test_the_revised_form_settles_at_its_closed_form(loss, optimum):
    balancer = create("uncertainty", ["a"], form="revised")
    optimizer = torch.optim.Adam(balancer.parameters(), lr=0.05)
    for _ in range(800):
        optimizer.zero_grad()
        balancer(torch.tensor([loss])).backward()
        optimizer.step()
    assert balancer.log_variance.exp().item() == pytest.approx(optimum, rel=1e-3)
    assert balancer.uncertainties()["a"] == pytest.approx(math.sqrt(optimum), rel=1e-3)


@pytest.mark.parametrize("form", ["kendall", "revised"])
def test_a_loss_that_is_a_likelihood_stays_as_it_is_even_if_negative(form):
    tasks = [Count("visits"), Regression("size")]
    balancer, alone = (create("uncertainty", each, form=form) for each in (tasks, tasks[1:]))
    optimizer = torch.optim.Adam([*balancer.parameters(), *alone.parameters()], lr=0.05)
    for _ in range(200):
        losses = torch.tensor([-0.7, 3.0], requires_grad=True)
        optimizer.zero_grad()
        (balancer(losses) + alone(losses[1:].detach())).backward()
        optimizer.step()
    assert losses.grad[0] == 1
    assert balancer.log_variance[0] == 0
    assert balancer.log_variance[1] == alone.log_variance[0] > 0
    assert balancer.uncertainties()["visits"] == 1


def test_a_vanishing_loss_cannot_send_its_weight_to_infinity_and_the_weight_comes_back():
    balancer = create("uncertainty", ["a"], initial=-30.0)
    loss = torch.tensor([1.0], requires_grad=True)
    balancer(loss).backward()
    assert loss.grad.item() == pytest.approx(0.5 * math.exp(10))
    assert balancer.log_variance.grad.item() < 0  # descending raises s again


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("uncertainty", {}),
        ("imtl_l", {}),
        pytest.param("uncertainty", {"kinds": {"a": "laplace"}}, marks=pytest.mark.slow),
        pytest.param("uncertainty", {"form": "revised"}, marks=pytest.mark.slow),
    ],
)
def test_after_a_long_time_at_a_loss_of_0_a_weight_comes_back_at_once(name, options):
    balancer = create(name, ["a"], **options)
    optimizer = torch.optim.Adam(balancer.parameters(), lr=0.05)

    def weight_at(value):
        loss = torch.tensor([value], requires_grad=True)
        optimizer.zero_grad()
        balancer(loss).backward()
        optimizer.step()
        return loss.grad.item()

    for _ in range(1400):
        weight_at(1e-9)
    weights = [weight_at(1.0) for _ in range(12)]
    assert weights == sorted(weights, reverse=True)
    assert weights[-1] < weights[0] / 9


def test_two_totals_of_a_bounded_weight_go_back_together():
    balancer = create("uncertainty", ["a"], initial=-30.0)
    (balancer(torch.tensor([1.0])) + balancer(torch.tensor([2.0]))).backward()
    expected = 1.0 - 0.5 * 3.0 * math.exp(10)  # d/ds of the sum of 1/2 exp(-s) L + 1/2 s
    assert balancer.log_variance.grad.item() == pytest.approx(expected)


def test_the_revised_form_dampens_a_task_weight():
    """At its optimum, π w goes from 0.5 to 0.732 as π goes from 1 to 4 (L = 1)."""
    for weight, expected in ((1.0, 0.5), (4.0, 0.732051)):
        balancer = create("uncertainty", ["a"], form="revised")
        balancer.set_weight("a", weight)
        optimizer = torch.optim.Adam(balancer.parameters(), lr=0.05)
        for _ in range(600):
            loss = torch.tensor([1.0], requires_grad=True)
            optimizer.zero_grad()
            balancer(loss).backward()
            optimizer.step()
        assert loss.grad.item() == pytest.approx(expected, abs=1e-4)


def test_uncertainties_are_standard_deviations():
    balancer = create(
        "uncertainty",
        ["a", "b"],
        kinds={"b": "laplace"},
        initial={"a": math.log(4.0), "b": math.log(3.0)},
    )
    assert balancer.uncertainties() == pytest.approx({"a": 2.0, "b": 3.0})
