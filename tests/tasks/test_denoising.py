"""Denoising of tables: cells are swapped within their column, and restored."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from motet.data.inputs.shapes import InputShapes, TableShape
from motet.problems import InputError
from motet.tasks import Cells, Denoising


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def rows(count, seed=0):
    drawn = generator(seed)
    return {
        "numbers": torch.randn(count, 3, generator=drawn),
        "categories": torch.randint(0, 5, (count, 2), generator=drawn),
    }


CELLS = Cells((0, 1, 2), (5, 7))


def cells(**options):
    return Denoising("cells", **{"cells": CELLS, **options})


def test_15_percent_of_the_cells_have_the_value_of_another_row():
    given = rows(20_000)
    before = given["numbers"].clone()
    seen, target = cells().view(given, generator())
    assert given["numbers"].equal(before)
    changed = seen["numbers"] != given["numbers"]
    assert changed.float().mean(0).tolist() == pytest.approx([0.15] * 3, abs=0.01)
    for column in range(3):
        assert torch.isin(seen["numbers"][:, column], given["numbers"][:, column]).all()
    assert target[:, :3].equal(given["numbers"])
    assert target[:, 3:].equal(given["categories"].float())
    differ = (seen["categories"] != given["categories"]).float().mean(0)
    assert differ.tolist() == pytest.approx([0.15 * 4 / 5] * 2, abs=0.01)


def test_half_of_the_swaps_of_a_balanced_yes_or_no_change_nothing():
    answers = torch.arange(20_000).remainder(2)[:, None]
    seen, _ = cells(cells=Cells((), (2,))).view({"categories": answers}, generator())
    changed = (seen["categories"] != answers).float().mean()
    assert float(changed) == pytest.approx(0.075, abs=0.008)


@pytest.mark.parametrize("scored", ["all", "corrupted"])
def test_guessing_the_mean_and_the_shares_costs_1_for_numbers_and_the_entropy(scored):
    given = rows(20_000)
    given["numbers"] = (given["numbers"] - given["numbers"].mean(0)) / given["numbers"].std(0)
    _, target = cells(scored=scored).view(given, generator())
    raw = torch.zeros(len(target), CELLS.categories[0] + CELLS.categories[1] + 3)
    raw[:, 8 + 5 :] = -1e9  # the second category has values 0 to 4, too
    present = ~target.isnan()
    share = {"all": 1.0, "corrupted": 0.15}[scored]
    assert float(present.float().mean()) == pytest.approx(share, abs=0.01)
    total, count = cells().loss(raw, target)
    expected = present[:, :3].sum() * 1.0 + present[:, 3:].sum() * math.log(5)
    assert float(total) == pytest.approx(float(expected), rel=0.03)
    assert float(count) == float(present.sum()) == float(cells().count(target))


@given(st.integers(0, 1000), st.sampled_from(["all", "corrupted"]))
def test_the_loss_is_the_squared_error_and_the_cross_entropy_of_scored_cells(seed, scored):
    given = rows(7, seed)
    _, target = cells(scored=scored, share=0.5).view(given, generator(seed))
    raw = torch.randn(7, 15, generator=generator(seed + 1), requires_grad=True)
    total, count = cells().loss(raw, target)
    found, present = raw.detach().double().numpy(), ~target.isnan().numpy()
    squared = (found[:, :3] - target[:, :3].double().numpy()) ** 2
    expected = squared[present[:, :3]].sum()
    for column, start, end in ((3, 3, 8), (4, 8, 15)):
        some = present[:, column]
        if some.any():
            shares = np.exp(found[some, start:end])
            shares /= shares.sum(1, keepdims=True)
            labels = target[:, column].numpy()[some].astype(int)
            expected += log_loss(labels, shares, labels=range(end - start), normalize=False)
    assert total.item() == pytest.approx(expected, rel=1e-4)
    assert float(count) == present.sum()
    total.backward()
    reached = raw.grad != 0
    assert reached[:, :3].numpy()[~present[:, :3]].sum() == 0
    assert reached[:, 3:8].any(1).numpy().tolist() == present[:, 3].tolist()


def test_missing_numbers_are_neither_swapped_nor_scored():
    given = {"numbers": torch.randn(500, 2, generator=generator())}
    missing = torch.arange(500) % 4 == 0
    given["numbers"][missing, 0] = 0
    given["numbers"][:, 1] = missing.float()  # marks the first column
    task = cells(cells=Cells((0,), (), (1,)), share=1.0)
    seen, target = task.view(given, generator())
    assert seen["numbers"][:, 1].equal(given["numbers"][:, 1])
    assert seen["numbers"][missing, 0].eq(0).all()
    assert target[:, 0].isnan().equal(missing)
    swapped = seen["numbers"][~missing, 0] != given["numbers"][~missing, 0]
    assert 0.6 < float(swapped.float().mean()) < 0.9  # not with a row whose number is missing
    assert seen["numbers"][~missing, 0].ne(0).all()


def test_a_plain_tensor_is_a_table_of_numbers_and_one_row_has_no_other():
    numbers = torch.randn(4, 2)
    seen, target = cells(cells=Cells((0, 1)), share=1.0).view(numbers, generator())
    assert (seen != numbers).all()
    assert target.equal(numbers)
    seen, target = cells(cells=Cells((0, 1)), share=1.0).view(numbers[:1], generator())
    assert seen.equal(numbers[:1])
    total, count = cells(cells=Cells((0,))).loss(torch.zeros(3), torch.ones(3, 1))
    assert (float(total), float(count)) == (3.0, 3.0)


def test_wrong_use_is_explained():
    with pytest.raises(InputError, match="task 'cells': the columns are not known; give cells="):
        Denoising("cells").make_head(3)
    with pytest.raises(InputError, match="share: found 0, expected a number > 0"):
        cells(share=0)
    with pytest.raises(InputError, match="scored: found 'some', expected 'all' or 'corrupted'"):
        cells(scored="some")


def test_a_category_with_too_many_values_to_score_is_refused():
    shapes = InputShapes.of({"who": TableShape(categories=(1_000_002,))})
    with pytest.raises(InputError, match="hash it into fewer buckets"):
        Denoising("cells").read_shapes(shapes)
