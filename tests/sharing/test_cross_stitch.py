"""Cross-stitch: the two matrices whose effect is known, and which layers, channels and rates."""

import pytest
import torch
from schemes import TASKS, WIDTH, X, backbone, module
from torch import nn
from torch.testing import assert_close

from motet import sharing
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import Regression
from motet.training import Trainer

FORMS = [{}, {"units": "channel"}, {"layers": [1, 3]}, {"layers": [4], "units": "channel"}]


def with_stitch(values, **options):
    found = module("cross_stitch", **options)
    with torch.no_grad():
        found.stitch.copy_(values)
    return found


def single(found, task):
    """The network of one task, as ordinary layers."""
    return nn.Sequential(*found.columns[task], found.own[task])


@pytest.mark.parametrize("options", FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows", [1, 7, 40, 500])
def test_identity_gives_single_task_networks_bit_for_bit(options, dtype, rows):
    found = with_stitch(torch.eye(3), **options).to(dtype)
    inputs = torch.randn(rows, 4, dtype=dtype)
    states = found(inputs, TASKS)
    for task in TASKS:
        assert states[task].equal(single(found, task)(inputs))


@pytest.mark.parametrize("units", ["layer", "channel"])
def test_a_matrix_of_equal_numbers_gives_equal_streams(units):
    states = with_stitch(torch.full((3, 3), 1 / 3), units=units)(X, TASKS)
    assert_close(states["a"], states["b"], rtol=0, atol=0)
    assert_close(states["a"], states["c"], rtol=0, atol=0)


def test_streams_are_mixed_as_the_formula_says():
    found = with_stitch(torch.randn(4, 3, 3))
    streams = [X] * 3
    for place, matrix in enumerate(found.stitch):
        columns = zip(found.columns, streams, strict=True)
        states = [column[place](stream) for column, stream in columns]
        streams = [sum(matrix[k, j] * states[j] for j in range(3)) for k in range(3)]
    for stream, state in zip(streams, found(X, TASKS).values(), strict=True):
        assert_close(state, stream)


@pytest.mark.parametrize("channels_first", [False, True])
def test_each_channel_can_have_a_matrix_of_its_own(channels_first):
    if channels_first:
        stages = [nn.Conv2d(1, 2, 3), nn.Sequential(nn.Flatten(), nn.Linear(8, 3))]
        inputs = torch.randn(5, 1, 4, 4)
    else:
        stages = [nn.Linear(4, 2), nn.Sequential(nn.Flatten(), nn.Linear(6, 3))]
        inputs = torch.randn(5, 3, 4)
    stages[0].width = 2
    scheme = sharing.create("cross_stitch", units="channel", layers=[1])
    found = scheme.build(stages, ["a", "b"], 3)
    assert found.stitch.shape == (2, 2, 2)
    with torch.no_grad():
        found.stitch.copy_(torch.stack([torch.eye(2), torch.eye(2).flip(0)]))
    one, other = (column[0](inputs) for column in found.columns)
    axis = 1 if channels_first else 2
    swapped = torch.cat([one.narrow(axis, 0, 1), other.narrow(axis, 1, 1)], axis)
    assert_close(found(inputs, ["a"])["a"], found.own["a"](swapped))


def test_it_begins_mostly_by_itself_and_every_row_adds_up_to_one():
    found = module("cross_stitch", units="channel")
    assert found.stitch.shape == (6 + 5 + 5 + WIDTH, 3, 3)
    assert_close(found.stitch[3].diagonal(), torch.full((3,), 0.9).double(), rtol=1e-6, atol=0)
    assert_close(found.stitch.sum(-1), torch.ones(19, 3).double(), rtol=1e-6, atol=0)


def test_stages_after_the_last_stitch_are_each_task_s_own():
    found = module("cross_stitch", layers=[2])
    assert len(found.columns["a"]) == 2
    assert [len(list(found.task_parameters(task))) for task in TASKS] == [4, 4, 4]
    assert list(found.describe()["stitch"]) == ["stage 2"]
    assert_close(found.describe()["stitch"]["stage 2"]["b"], [0.05, 0.9, 0.05], atol=1e-6, rtol=0)


def test_embeddings_alone_are_not_mixed_if_no_layers_are_told():
    stages = [nn.Sequential(nn.Embedding(9, 4), nn.Flatten()), nn.Linear(8, 3)]
    found = sharing.create("cross_stitch").build(stages, ["a", "b"], 3)
    assert list(found.describe()["stitch"]) == ["stage 2"]
    assert found(torch.arange(6).view(3, 2), ["b"])["b"].shape == (3, 3)


def test_matrices_learn_at_a_rate_of_their_own_and_do_not_decay():
    scheme = sharing.create("cross_stitch", rate=10.0)
    model = MultiTaskModel(backbone(), [Regression("a"), Regression("b")], sharing=scheme)
    groups = Trainer(model, learning_rate=1e-3).optimizer.param_groups
    (group,) = [each for each in groups if any(p is model.sharing.stitch for p in each["params"])]
    assert group["lr"] == pytest.approx(1e-2)
    assert group["weight_decay"] == 0


@pytest.mark.parametrize("layers", [[0], [5], [1, 7], []])
def test_layers_that_are_not_there_are_refused(layers):
    with pytest.raises(InputError, match=r"layers"):
        sharing.create("cross_stitch", layers=layers).build(backbone(), TASKS, WIDTH)
