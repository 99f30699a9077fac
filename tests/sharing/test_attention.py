"""Attention: masks of one are hard sharing; formulas against naive ones, any backbone."""

import math

import pytest
import torch
from schemes import TASKS, WIDTH, X, backbone, module
from torch import nn
from torch.testing import assert_close

from motet import sharing
from motet.problems import InputError


def images():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.Flatten(), nn.Linear(8, 3)
    )


def test_masks_of_one_are_hard_sharing():
    found = module("attention")
    with torch.no_grad():
        for task in TASKS:
            for mask in found.masks[task]:
                mask.out.weight.zero_()
                mask.out.bias.fill_(100.0)
    expected = nn.Sequential(*found.stages)(X)
    for state in found(X, TASKS).values():
        assert state.equal(expected)


def test_masks_are_those_of_the_formula():
    found = module("attention")
    state, taken = X, None
    for stage, mask in zip(found.stages, found.masks["b"], strict=True):
        state = stage(state)
        hidden = state @ mask.shared.weight.T + mask.shared.bias
        if taken is not None:
            hidden = hidden + taken @ mask.before.weight.T
        taken = torch.sigmoid(mask.out(hidden.clamp(min=0))) * state
    assert_close(found(X, TASKS)["b"], taken)


@pytest.mark.parametrize("form", ["masks", "tokens"])
def test_the_encoder_runs_once_however_many_tasks_there_are(form):
    calls = []
    found = sharing.create("attention", form=form).build(backbone().double(), TASKS, WIDTH).double()
    found.stages[0].register_forward_hook(lambda *_: calls.append(1))
    found(X, TASKS)
    assert calls == [1]


@pytest.mark.parametrize("form", ["masks", "tokens"])
def test_features_may_come_first_and_positions_may_be_several(form):
    scheme = sharing.create("attention", form=form, width=8)
    stages = sharing.Stages.of(images())
    found = scheme.build(stages, TASKS, 3)
    inputs = torch.randn(5, 1, 6, 6)
    states = found(inputs, TASKS)
    assert all(state.shape == (5, 3) for state in states.values())
    if form == "masks":
        first = stages[0](inputs)
        one = found.masks["a"][0](found._read[0], first, None)
        alone = found.masks["a"][0](found._read[0], first[:, :, 2:3, 1:2], None)
        assert_close(one[:, :, 2:3, 1:2], alone)


def test_attention_of_tokens_is_that_of_the_formula():
    found = module("attention of tokens")
    states, state = [], X
    for stage, to_token in zip(found.stages, found.maps, strict=True):
        state = stage(state)
        states.append(to_token(state))
    tokens = torch.stack(states, dim=1)
    keys, values = found.keys_values(tokens).chunk(2, dim=2)
    query = found.tokens["c"].weight[0]
    read = []
    for head in (slice(0, 2), slice(2, 4)):
        scores = keys[:, :, head] @ query[head] / math.sqrt(2)
        read.append((scores.softmax(dim=1).unsqueeze(2) * values[:, :, head]).sum(dim=1))
    assert_close(found(X, TASKS)["c"], state + found.out(torch.cat(read, dim=1)))


def test_what_a_task_attends_to_is_told_as_means_over_training():
    found = module("attention of tokens")
    for _ in range(100):
        found(X, ["a"])
    told = found.describe()["attention"]
    assert list(told["a"]) == ["stage 1", "stage 2", "stage 3", "stage 4"]
    assert sum(told["a"].values()) == pytest.approx(1)
    assert told["a"] != told["b"]
    assert told["b"] == dict.fromkeys(told["b"], 0.25)
    found.eval()(X, TASKS)
    assert found.describe()["attention"] == told


def test_masks_are_told_for_each_stage():
    found = module("attention")
    with torch.no_grad():
        found.masks["a"][0].out.weight.zero_()
        found.masks["a"][0].out.bias.fill_(-100.0)
    for _ in range(200):
        found(X, TASKS)
    told = found.describe()["masks"]["a"]
    near_zero = pytest.approx(0, abs=1e-6)
    assert told["stage 1"] == {"mean": near_zero, "spread": near_zero}
    assert 0.2 < told["stage 2"]["mean"] < 0.8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 2}, "heads: applies only with form: tokens"),
        ({"form": "tokens", "width": 6}, "heads: found 4, expected a number that divides width: 6"),
        ({"form": "both"}, "form"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        sharing.create("attention", **options)
