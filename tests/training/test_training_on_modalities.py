"""Training on rows that lack modalities: parts of batches, processes, copies, freezing."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from motet.data.batches import Batch
from motet.data.several import Sources
from motet.encoders import LSTM, MLP
from motet.model import MultiTaskModel
from motet.model.parts import find
from motet.problems import InputError
from motet.sharing import create as create_sharing
from motet.tasks import Classification, Regression
from motet.training import Trainer
from motet.training.passes import checks, compiled
from tests.gloo import in_processes

DRAW = torch.Generator().manual_seed(0)
ROWS = 23
V = torch.randn(ROWS, 4, generator=DRAW)
S = torch.randn(ROWS, 3, 2, generator=DRAW)
THERE = torch.rand(ROWS, 2, generator=DRAW) < 0.7
DATA = (
    {"v": {"values": V, "present": THERE[:, 0]}, "s": {"frames": S, "present": THERE[:, 1]}},
    {"a": (V[:, 0] > 0).long(), "b": S[:, 0, 0].clone()},
)
DROPPING = {"type": "attention", "width": 6, "heads": 2, "modality_dropout": 0.4}


def made(fusion=None, sharing=None, encoders=None):
    torch.manual_seed(0)
    encoders = encoders or {
        "v": MLP(4, hidden=(5,), dropout=0.0),
        "s": LSTM(frames=2, width=4, dropout=0.0),
    }
    tasks = [Classification("a", classes=2), Regression("b")]
    scheme = None if sharing is None else create_sharing(sharing)
    return MultiTaskModel(
        encoders=encoders, fusion=fusion or DROPPING, tasks=tasks, sharing=scheme
    ).double()


def doubled(data):
    if isinstance(data, dict):
        return {name: doubled(each) for name, each in data.items()}
    if isinstance(data, tuple):
        return tuple(map(doubled, data))
    return data.double() if data.is_floating_point() else data


DATA = doubled(DATA)


def fitted(model=None, balancer="equal", epochs=2, data=DATA, **options):
    model = made() if model is None else model
    sgd = {"type": "sgd", "learning_rate": 0.05}
    trainer = Trainer(
        model, balancer, **{"optimizer": sgd, "batch_size": 12, "patience": None, **options}
    )
    trainer.fit(data, epochs=epochs)
    return trainer


def weights_of(trainer):
    return {name: each.detach().clone() for name, each in trainer.model.state_dict().items()}


def assert_same_weights(one, other, **tolerance):
    for name, expected in one.items():
        assert_close(other[name], expected, **tolerance, msg=name)


@pytest.mark.parametrize("balancer", ["equal", "upgrad"])
@pytest.mark.parametrize("fusion", ["attention", "gating"])
def test_micro_batches_give_the_step_of_the_whole_batch_where_rows_lack_modalities(
    fusion, balancer
):
    one, two = (
        weights_of(fitted(made({"type": fusion, "width": 8}), balancer, accumulate=parts))
        for parts in (1, 2)
    )
    assert_same_weights(one, two, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("balancer", ["equal", "upgrad"])
def test_processes_drop_the_modalities_that_one_would(balancer):
    plain = weights_of(fitted(made({**DROPPING, "modality_dropout": 0.0}), balancer))
    one = weights_of(fitted(balancer=balancer))
    for each in in_processes(2, lambda: weights_of(fitted(balancer=balancer))):
        assert_same_weights(one, each, rtol=1e-9, atol=1e-11)
    assert any(not torch.equal(one[name], plain[name]) for name in one)


@pytest.mark.parametrize("scheme", ["soft", "cross_stitch"])
def test_schemes_that_copy_encoders_copy_their_fusion_too(scheme):
    trainer = fitted(made(sharing=scheme))
    model = trainer.model
    fusions = [each for each in model.modules() if type(each).__name__ == "Attention"]
    fusions = [each for each in fusions if hasattr(each, "weight_sums")]
    assert len(fusions) == 2
    assert fusions[0].weights.shape == fusions[1].weights.shape
    model.eval()(DATA[0])
    for each in fusions:
        total = THERE.any(1).to(each.weights)
        assert_close(each.weights.sum(1), total)
        assert not each.weights[~THERE].any()
    names = find(model, ["inputs.v"])
    assert len(names) == 2 * len(list(MLP(4, hidden=(5,), dropout=0.0).parameters()))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # while torch traces, its own would be errors inside
def test_a_compiled_fusion_trains_as_one_that_is_not(monkeypatch):
    compile = torch.compile
    monkeypatch.setattr(checks, "_lacking_compiler", lambda device: None)
    monkeypatch.setattr(
        compiled.torch, "compile", lambda forward, options: compile(forward, backend="aot_eager")
    )
    torch._dynamo.reset()
    joined = {"v": MLP(4, hidden=(5,)), "w": MLP(4, hidden=(3,))}
    inputs = {"v": DATA[0]["v"], "w": {"values": DATA[0]["v"]["values"], "present": THERE[:, 1]}}
    rows = inputs, DATA[1]
    plain, traced = (
        fitted(made(encoders=deepcopy(joined)), epochs=1, data=rows, batch_size=23, compile=each)
        for each in (False, True)
    )
    assert_same_weights(weights_of(plain), weights_of(traced), rtol=1e-9, atol=1e-11)
    assert_close(traced.model.fusion.weights, plain.model.fusion.weights)
    torch._dynamo.reset()


# Freezing by the name of an input ----------------------------------------------------------------


def test_the_encoder_of_one_input_is_frozen_by_its_name_and_trained_again():
    model = made()
    before = {name: each.detach().clone() for name, each in model.named_parameters()}
    of_v = set(find(model, ["inputs.v"]))
    trainer = fitted(
        model, freeze=["inputs.v", "inputs.s"], unfreeze=[{"epoch": 2, "parts": ["inputs.s"]}]
    )
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert of_v
    assert not moved & of_v
    assert set(find(model, ["inputs.s"])) <= moved
    assert set(model.frozen) == of_v == set(trainer.freezing.never)
    model.unfreeze("inputs.v")
    assert model.frozen == ()
    model.freeze("inputs.*", evaluation=True)
    assert not any(model.fusion is each for each in model.modules() if not each.training)


@pytest.mark.parametrize(
    ("encoders", "part", "message"),
    [
        (None, "inputs.w", "found 'inputs.w', expected an input.*did you mean 'inputs.[vs]'"),
        (None, "input.v", "did you mean 'inputs.v'"),
        ({"v": nn.Identity(), "s": MLP(2, hidden=(3,))}, "inputs.v", "v has no parameter"),
    ],
)
def test_a_part_that_is_no_input_is_refused_with_the_nearest(encoders, part, message):
    if encoders:
        encoders["v"].width = 4
    with pytest.raises(InputError, match=message):
        made(encoders=encoders).freeze(part)


def test_a_model_of_one_encoder_has_no_parts_by_input():
    model = MultiTaskModel(MLP(4), [Regression("b")])
    with pytest.raises(InputError, match="one encoder reads all inputs; name 'encoder'"):
        model.freeze("inputs.v")


# Modalities that all rows lack ------------------------------------------------------------------


def without_v(data=DATA):
    inputs, targets = data
    lacking = {**inputs["v"], "present": torch.zeros(ROWS, dtype=torch.bool)}
    return {**inputs, "v": lacking}, targets


@pytest.mark.parametrize("form", ["arrays", "batches", "sources"])
def test_a_modality_that_all_training_rows_lack_is_an_error_that_names_it(form):
    given = without_v()
    if form == "batches":
        given = [Batch(*given), Batch(*given)]
    elif form == "sources":
        given = Sources({"first": given, "second": given})
    with pytest.raises(InputError, match=r"input 'v': .*lack it in all rows.*remove the input"):
        Trainer(made(), "equal").fit(given, epochs=1)


def test_validation_rows_may_lack_a_modality():
    Trainer(made(), "equal").fit(DATA, without_v(), epochs=1)
