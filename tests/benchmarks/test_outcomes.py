"""Published outcomes: the problems' known values, and that the scripts find what was published."""

import runpy
import sys
from pathlib import Path

import pytest
import torch

from motet.analysis import interval

OUTCOMES = Path(__file__).parents[2] / "benchmarks" / "outcomes"


@pytest.fixture
def script(monkeypatch):
    """Reads a script without running it; its names as attributes."""
    monkeypatch.syspath_prepend(str(OUTCOMES))
    yield lambda name: runpy.run_path(str(OUTCOMES / f"{name}.py"))
    sys.modules.pop("descent", None)


def double(*rows):
    return torch.tensor(rows, dtype=torch.float64)


# Known values ------------------------------------------------------------------------------------


def test_the_toy_has_the_published_losses_on_its_front(script):
    toy = script("two_task_toy")
    losses = toy["toy"](double([0, -8.3552], [7, -8.3552]), 1.0)
    expected = double([-15.0916, -15.0916], [-19.9893, -0.3986])
    torch.testing.assert_close(losses, expected, rtol=0, atol=5e-5)
    shrunk = toy["toy"](double([0, -8.3552]), 0.1)
    torch.testing.assert_close(shrunk, double([-1.50916, -15.0916]), rtol=0, atol=5e-5)


def test_the_kink_of_the_toy_is_no_trap(script):
    toy = script("two_task_toy")
    _, rows = script("descent")["jacobians"](lambda x: toy["toy"](x, 0.1), double([0.0, 0.0]))
    assert rows.abs().sum(dim=(1, 2)) > 0.1


def test_the_minimum_of_the_sum_of_the_quadratics_is_on_their_pareto_set(script):
    quadratics = script("quadratics")
    best = quadratics["pareto_points"](double([0.5, 0.5]))
    torch.testing.assert_close(best, double([-0.5, 0.4]))
    _, rows = script("descent")["jacobians"](quadratics["losses"], best)
    torch.testing.assert_close(rows.sum(dim=1), double([0.0, 0.0]))
    assert quadratics["distance_to_set"](double([1, 0], [-1, 2])).max() < 1e-5


def test_zdt2_and_fonseca_have_their_known_values(script):
    fronts = script("concave_fronts")
    x = torch.zeros(1, 30, dtype=torch.float64)
    x[:, 0] = 0.25
    torch.testing.assert_close(fronts["zdt2"](x.sqrt().asin()), double([0.25, 1 - 0.25**2]))
    x[:, 1:] = 1.0  # g = 10
    torch.testing.assert_close(fronts["zdt2"](x.sqrt().asin()), double([0.25, 10 - 0.25**2 / 10]))
    middle = double([0.0] * 3, [3**-0.5] * 3)
    torch.testing.assert_close(
        fronts["fonseca"](middle), double([0.632121, 0.632121], [0.0, 0.981684]), rtol=0, atol=1e-6
    )
    torch.testing.assert_close(
        fronts["fonseca_front"](double(0.632121, 0.0)),
        double(0.632121, 0.981684),
        rtol=0,
        atol=1e-5,
    )


def test_gradients_of_the_small_task_of_the_gradnorm_toy_are_small_by_its_scale(script):
    toy = script("gradnorm_toy")
    true, generator = toy["targets"](0)
    y = true(torch.randn(2000, 250, generator=generator) / 250**0.5)
    assert y["large"].std() / y["small"].std() == pytest.approx(100, rel=0.02)
    assert y["small"].abs().max() <= 1


def test_closed_forms_of_learned_noise(script):
    expected = script("noise_recovery")["expected"]
    assert expected("kendall", 0.01) == pytest.approx(0.1)
    assert expected("revised", 1.0) == pytest.approx(1.0)
    assert expected("revised", 7.0) ** 2 == pytest.approx(4.311738, rel=1e-6)


@pytest.mark.parametrize(
    ("relatedness", "lowest", "highest"),
    [(0.0, -0.02, 0.02), (0.5, 0.05, 0.52), (0.9, 0.5, 0.9), (1.0, 0.985, 0.999)],
)
def test_labels_of_tasks_correlate_as_far_as_the_tasks_are_related(
    script, relatedness, lowest, highest
):
    parts = script("relatedness")["parts"]
    found = []
    for seed in range(5):
        _, targets = parts(relatedness, seed, {"train": 30_000})["train"]
        found.append(float(torch.corrcoef(torch.stack([*targets.values()]))[0, 1]))
    assert lowest < min(found)
    assert max(found) < highest
    # of two normal numbers with a correlation, no function correlates more (Mehler's expansion)
    assert max(found) <= relatedness + 0.02


def test_parts_have_rows_of_their_own_and_targets_in_units_of_the_training_part(script):
    parts = script("relatedness")["parts"](0.5, 0, {"train": 3000, "test": 2000})
    (x, train), (others, test) = parts["train"], parts["test"]
    assert (len(x), len(others)) == (3000, 2000)
    for task, values in train.items():
        torch.testing.assert_close(values.mean(), torch.tensor(0.0), rtol=0, atol=1e-5)
        torch.testing.assert_close(values.std(), torch.tensor(1.0))
        assert test[task].std() == pytest.approx(1, abs=0.1)


def test_ways_of_sharing_are_compared_with_as_many_parameters(script):
    relatedness = script("relatedness")
    counts = [
        sum(parameter.numel() for parameter in relatedness["network"](name).parameters())
        for name in relatedness["METHODS"]
    ]
    assert max(counts) / min(counts) < 1.05


# Outcomes ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_plain_sum_stays_short_of_the_front_where_nash_mgda_and_imtl_g_reach_it(script):
    toy = script("two_task_toy")
    found = toy["outcomes"]("nash", ["equal", "mgda", "imtl_g", "nash"])
    there = {name: toy["reached"](ends) for name, ends in found.items()}
    assert there["equal"].sum() <= 4
    assert not there["equal"][2]  # from (9, 9)
    assert all(there[name].all() for name in ("mgda", "imtl_g", "nash"))
    on_front = found["equal"][there["equal"], 0]
    torch.testing.assert_close(on_front, torch.full_like(on_front, -5.73), rtol=0, atol=0.1)
    assert found["nash"][:, 0].min() > -4.5  # not drawn to one end, as the plain sum is
    assert found["nash"][:, 0].max() < 6


@pytest.mark.slow
def test_gradnorm_trains_the_small_task_that_the_plain_sum_harms(script):
    toy = script("gradnorm_toy")
    ends = {
        name: toy["train"](name, toy["METHODS"][name], 1500, seed=0)
        for name in ("equal", "gradnorm")
    }
    plain, balanced = (ends[name][0][-50:].mean(dim=0).tolist() for name in ends)
    assert plain[0] > 1.03  # worse than at the start
    assert balanced[0] < plain[0] - 0.03
    assert balanced[1] == pytest.approx(plain[1], abs=0.03)
    assert ends["gradnorm"][1][-50:, 0].mean() > 1.9


@pytest.mark.slow
@pytest.mark.parametrize(("form", "tolerance"), [("kendall", 0.005), ("revised", 0.005)])
def test_learned_noise_is_the_true_noise(script, form, tolerance):
    noise = script("noise_recovery")
    balancer, result = noise["learn"](form, 3000)
    for task, learned in balancer.uncertainties().items():
        exact = noise["expected"](form, float(result.losses[task]))
        assert learned == pytest.approx(exact, rel=tolerance)
        if form == "kendall":
            assert learned == pytest.approx(noise["NOISE"][task], rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["equal", "pcgrad", "cagrad", "upgrad", "mgda", "imtl_g"])
def test_balancers_stop_on_the_pareto_set_of_quadratics(script, name):
    quadratics = script("quadratics")
    found = quadratics["ends"](name, 1000)
    assert quadratics["distance_to_set"](found).max() < 1e-3
    off_sum = (found - double([-0.5, 0.4])).norm(dim=1).max()
    assert (off_sum < 1e-4) == (name in ("equal", "cagrad"))


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_fixed_weights_end_at_their_point_of_the_pareto_set(script, share):
    quadratics = script("quadratics")
    found = quadratics["ends"]("manual", 1000, weights={"one": share, "two": 1 - share})
    exact = quadratics["pareto_points"](double([share, 1 - share]))
    torch.testing.assert_close(found, exact.expand_as(found), rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("problem", ["ZDT2 near", "Fonseca"])
def test_a_weighted_sum_reaches_only_the_ends_of_a_concave_front_and_stch_all_of_it(
    script, problem
):
    fronts = script("concave_fronts")
    on, inside, gap = fronts["judged"](problem, fronts["ends"](problem, "manual", 1000))
    assert (on, inside) == (11, 0)
    assert gap > 0.9
    found = fronts["ends"](problem, "stch", 1000)
    on, inside, gap = fronts["judged"](problem, found)
    assert on == 11
    assert inside >= 8
    assert gap < 0.2
    assert (found[:, 0].diff() < 0).all()  # the larger its weight, the lower the first loss
    assert fronts["judged"](problem, fronts["ends"](problem, "mgda", 1000))[1] >= 8


@pytest.mark.slow
def test_tasks_that_are_the_same_are_learned_alike_by_experts_and_by_hard_sharing(script):
    relatedness = script("relatedness")
    more = []
    for seed in range(4):
        data = relatedness["parts"](1.0, seed, {"train": 20_000, "validation": 1000, "test": 4000})
        hard, mmoe = (relatedness["outcome"](name, data, seed) for name in ("hard", "mmoe"))
        assert max(hard, mmoe) < 0.3
        more.append(mmoe - hard)
    found = interval(more)
    assert found.low < 0 < found.high
