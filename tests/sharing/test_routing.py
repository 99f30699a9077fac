"""Routing: shared and disjoint ways, routers against a naive way through the blocks."""

import pytest
import torch
from schemes import TASKS, WIDTH, X, backbone, counted_rows, model, module
from torch import nn
from torch.testing import assert_close

from motet import sharing
from motet.problems import InputError


def masks(found):
    return [buffer for name, buffer in found.named_buffers() if "mask" in name]


# Fixed ----------------------------------------------------------------------------------------


def test_ratio_one_is_hard_sharing():
    found = module("routing", ratio=1.0)
    expected = nn.Sequential(*found.stages)(X)
    for state in found(X, TASKS).values():
        assert state.equal(expected)


def test_ratio_zero_gives_tasks_no_weight_in_common():
    found = module("routing", ratio=0.0)
    parameters = list(found.parameters())
    touched = []
    for state in found(X, TASKS).values():
        each = torch.autograd.grad(state.sum(), parameters, retain_graph=True)
        touched.append([gradient != 0 for gradient in each])
    for one, two, three in zip(*touched, strict=True):
        assert not (one & two | one & three | two & three).any()
        assert (one | two | three).any()


@pytest.mark.parametrize("ratio", [0.0, 0.25, 0.5, 1.0])
def test_a_share_is_kept_by_all_and_the_rest_by_exactly_one(ratio):
    stages = [nn.Linear(4, 40), nn.Linear(40, 20)]
    found = sharing.create("routing", ratio=ratio).build(stages, TASKS, 20)
    for mask, width in zip(masks(found), (40, 20), strict=True):
        users = mask.sum(dim=0)
        assert (users == 3).sum() == ratio * width
        assert (users == 1).sum() == width - ratio * width
        kept = mask.sum(dim=1)
        assert kept.max() - kept.min() <= 1


def test_what_a_task_does_not_keep_is_zero_after_every_stage():
    found = module("routing")
    state = X
    for stage, mask in zip(found.stages, masks(found), strict=True):
        state = stage(state) * mask[1]
    assert_close(found(X, TASKS)["b"], state)


def test_masks_are_drawn_by_the_seed_and_saved_with_the_weights():
    one, same, other = module("routing"), module("routing"), module("routing", seed=1)
    assert all(a.equal(b) for a, b in zip(masks(one), masks(same), strict=True))
    assert not all(a.equal(b) for a, b in zip(masks(one), masks(other), strict=True))
    other.load_state_dict(one.state_dict())
    assert_close(other(X, TASKS), one(X, TASKS))


def test_channels_are_masked_where_they_come_first_and_embeddings_are_left_alone():
    layers = (nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 4), nn.Flatten(), nn.Linear(2, 3))
    found = sharing.create("routing", ratio=0.5).build(nn.Sequential(*layers), TASKS, 3)
    assert [mask.shape for mask in masks(found)] == [(3, 4), (3, 2), (3, 3)]
    assert found(torch.randn(5, 1, 6, 6), TASKS)["a"].shape == (5, 3)
    words = [nn.Sequential(nn.Embedding(9, 4), nn.Flatten()), nn.Linear(8, 3)]
    found = sharing.create("routing").build(words, TASKS, 3)
    assert list(found.describe()["features"]) == ["stage 2"]


def test_features_kept_are_told():
    told = module("routing", ratio=0.5).describe()["features"]
    assert told["stage 1"] == {"of": 6, "shared": 3, "kept": {"a": 4, "b": 4, "c": 4}}


# Learned --------------------------------------------------------------------------------------


def learned(**options):
    return module("routing", mode="learned", **options)


@pytest.mark.parametrize("pick", ["hard", "soft"])
@pytest.mark.parametrize("width", [None, 4])
@pytest.mark.parametrize("training", [True, False])
def test_one_block_is_hard_sharing(pick, width, training):
    torch.manual_seed(0)
    network = backbone().double()
    scheme = sharing.create("routing", mode="learned", blocks=1, pick=pick, width=width)
    found = scheme.build(sharing.Stages.of(network), TASKS, WIDTH).double().train(training)
    for state in found(X, TASKS).values():
        assert_close(state, network(X))


def test_a_row_takes_the_most_likely_block_of_each_stage():
    found = learned(width=4).eval()
    state = found.bottom(X)
    for level in found.levels:
        picked = level.routers["b"].layers(state).argmax(dim=1)
        state = level.blocks(state)[torch.arange(len(X)), picked]
    assert_close(found(X, TASKS)["b"], state)


def test_blocks_are_computed_on_the_rows_alone_that_picked_them_but_in_training(monkeypatch):
    found = learned(width=4)
    seen = counted_rows(monkeypatch)
    found(X, ["b"])
    assert not seen
    expected = found.eval()(X, ["b"])["b"]
    assert [sum(rows) for rows in seen] == [len(X)] * len(found.levels)
    monkeypatch.undo()
    assert_close(expected, found(X, TASKS)["b"])


def test_soft_picks_weigh_blocks_by_the_softmax_at_the_temperature():
    found = learned(width=4, pick="soft", temperature=0.5).eval()
    state = found.bottom(X)
    for level in found.levels:
        weights = (level.routers["b"].layers(state) / 0.5).softmax(dim=1)
        state = (weights.unsqueeze(2) * level.blocks(state)).sum(dim=1)
    assert_close(found(X, TASKS)["b"], state)


def test_a_hard_pick_in_training_is_of_one_block_and_has_the_gradient_of_a_soft_one():
    router = learned(width=4).levels[0].routers["a"]
    weights = router(torch.randn(50, 6).double())
    assert sorted(set(weights.detach().flatten().round(decimals=6).tolist())) == [0.0, 1.0]
    (weights * torch.randn_like(weights)).sum().backward()
    assert all(parameter.grad.any() for parameter in router.layers.parameters())


def test_picks_in_training_follow_the_probabilities():
    router = learned().levels[0].routers["a"]
    with torch.no_grad():
        router.logits.copy_(torch.tensor([0.5, 0.3, 0.2]).log())
    picks = router(torch.zeros(20_000, 6).double()).mean(dim=0)
    assert_close(picks, torch.tensor([0.5, 0.3, 0.2]).double(), atol=0.02, rtol=0)


def test_load_and_entropy_tell_a_router_that_collapsed():
    found = learned()
    told = found.describe()["routers"]["a"]
    assert len(told) == 3
    assert told[0]["entropy"] == pytest.approx(1.0986, abs=1e-4)
    with torch.no_grad():
        found.levels[0].routers["a"].logits[1] = 50.0
    for _ in range(200):
        found(X, TASKS)
    told = found.describe()["routers"]["a"][0]
    assert told["load"] == pytest.approx([0, 1, 0], abs=1e-3)
    assert told["entropy"] < 0.01


def test_only_the_last_stages_have_routers_if_told():
    assert len(learned(routers=1).levels) == 1
    assert len(learned(routers=3).levels) == 3
    with pytest.raises(InputError, match="routers: found 4, but the encoder has 4 stages"):
        learned(routers=4)


def test_blocks_of_the_first_level_run_once_for_all_tasks():
    calls = []
    found = learned()
    found.levels[0].blocks.register_forward_hook(lambda *_: calls.append(0))
    found.levels[1].blocks.register_forward_hook(lambda *_: calls.append(1))
    found(X, TASKS)
    assert calls == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": 1.5}, "ratio"),
        ({"routers": 2}, "routers: applies only with mode: learned"),
        ({"mode": "learned", "ratio": 0.5}, "ratio: applies only with mode: fixed"),
        (
            {"ratio": 0.0},
            r"Linear\+Tanh has too few outputs \(3\) to deal out to 4 tasks; set ratio",
        ),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        sharing.create("routing", **options).build(backbone(), "abcd", WIDTH)


def test_learned_routes_need_a_stage_before_them():
    with pytest.raises(InputError, match="routers read the previous stage's output, so"):
        sharing.create("routing", mode="learned").build(nn.Linear(4, 3), TASKS, 3)


def test_a_model_learns_with_either_mode():
    for mode in ("fixed", "learned"):
        assert model("routing", mode=mode)(X)["a"].shape == (7,)
