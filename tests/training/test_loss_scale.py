"""Training in float16: losses are scaled, overflows skip steps, and nothing else changes."""

import math

import numpy as np
import pytest
import quick_cases
import torch
from gloo import in_processes
from quick_cases import others_slow
from torch import nn
from torch.testing import assert_close

from motet.model import MultiTaskModel
from motet.options import AuxiliaryOptions, Unpack
from motet.problems import InputError
from motet.processes import processes_of
from motet.registry import BALANCERS
from motet.sharing import create as create_sharing
from motet.tasks import Auxiliary, Classification, Regression
from motet.training import Trainer, TrainingError

X = torch.from_numpy(np.random.default_rng(0).normal(size=(24, 5)).astype(np.float32)) / 8
BATCH = {"inputs": X, "targets": {"a": (X[:, 0] > 0).long(), "b": X[:, 1], "c": X[:, 2] - X[:, 3]}}
DATA = (X, BATCH["targets"])
OPTIONS = {
    "manual": {"weights": {"a": 1.0, "b": 0.5, "c": 2.0}},
    "gradnorm": {"layer": "all"},
}
WHOLE = {"meta", "gradient_ratio"}  # they need the whole batch at once
CASES = [
    (name, pieces) for name in BALANCERS for pieces in (1, 3) if pieces == 1 or name not in WHOLE
]
QUICK = [(name, 1 if name in WHOLE else 3) for name in quick_cases.BALANCERS]
SMALL = 2.0**8  # at this scale nothing overflows here


class Noisy(Auxiliary):
    """Restore inputs to which noise was added."""

    def __init__(self, name: str, **common: Unpack[AuxiliaryOptions]) -> None:
        super().__init__(name, **common)
        self.outputs = 5

    def view(self, inputs, generator):
        return inputs + torch.randn(inputs.shape, generator=generator) / 8, inputs

    def loss(self, raw, target):
        return self.add_up(lambda raw, target: (raw - target) ** 2, raw, target)


def made(balancer="equal", *more, scale=None, **options):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 6), nn.Tanh())
    tasks = [Classification("a", classes=2), Regression("b"), Regression("c"), *more]
    sgd = {"type": "sgd", "learning_rate": 0.1, "momentum": 0.9}
    chosen = {"type": balancer, **OPTIONS.get(balancer, {})}
    trainer = Trainer(
        MultiTaskModel(encoder, tasks),
        chosen,
        **{"optimizer": sgd, "batch_size": 8, "seed": 1, **options},
    )
    if scale is not None:
        set_scale(trainer, scale)
    return trainer


def set_scale(trainer, scale):
    tensors, header = trainer.state()
    key = "scale/_extra_state"
    trainer.load_state({**tensors, key: torch.tensor([scale, 0.0]).to(tensors[key])}, header)


def scale_of(trainer):
    return float(trainer.state()[0]["scale/_extra_state"][0])


def assert_same_training(half, exact, rtol=0.03):
    for name, value in exact.model.state_dict().items():
        assert_close(half.model.state_dict()[name], value, rtol=rtol, atol=3e-3, msg=name)
    for name, value in exact.stages.state_dict().items():
        assert_close(half.stages.state_dict()[name], value, rtol=0.1, atol=3e-2, msg=name)


@pytest.mark.parametrize(("name", "pieces"), others_slow(QUICK, CASES))
def test_every_balancer_makes_the_steps_of_float32(name, pieces):
    options = {"accumulate": pieces, "normalize_losses": "initial", "clip_norm": 0.5}
    half = made(name, scale=SMALL, precision="float16", **options)
    exact = made(name, **options)
    for trainer in (half, exact):
        trainer.fit(DATA, DATA, epochs=2)
    assert half.progress.overflowed == half.progress.skipped == 0
    assert_same_training(half, exact)
    norms = half.statistics()["gradients"], exact.statistics()["gradients"]
    for task, values in norms[1].items():
        assert_close(norms[0][task]["norm"], values["norm"], rtol=0.03, atol=1e-4)


@pytest.mark.parametrize("pieces", [1, 3])
def test_tasks_beside_the_balancer_and_norms_that_are_looked_at_are_unscaled(pieces):
    steps = []
    for options in ({"precision": "float16", "scale": SMALL}, {}):
        trainer = made("equal", Noisy("n"), accumulate=pieces, analysis={"every": 1}, **options)
        steps.append((trainer.train_step(BATCH), trainer))
    (half, one), (exact, other) = steps
    assert_close(half.gradient_norm, exact.gradient_norm, rtol=0.01, atol=0)
    assert half.gradient_norms.keys() == {"a", "b", "c"}
    assert_close(dict(half.gradient_norms), dict(exact.gradient_norms), rtol=0.01, atol=1e-4)
    assert_same_training(one, other)


def test_an_overflow_skips_the_step_and_halves_the_scale_and_is_no_sign_of_divergence():
    trainer = made(precision="float16")
    big = {"inputs": X * 8, "targets": {**BATCH["targets"], "b": 3000 + BATCH["targets"]["b"]}}
    steps = [trainer.train_step(big) for _ in range(14)]
    skipped = [each.skipped for each in steps]
    count = skipped.index(False)
    assert count > 10  # more in a row than steps that are not finite may be
    assert trainer.progress.overflowed == trainer.statistics()["overflowed"] == sum(skipped)
    assert trainer.progress.skipped == trainer.progress.skipped_in_a_row == 0
    assert scale_of(trainer) == 2.0 ** (16 - sum(skipped))
    assert math.isfinite(trainer.progress.totals.means()["b"])


BIG = {**BATCH["targets"], "b": BATCH["targets"]["b"].clone()}
BIG["b"][5] = 200  # a row of one of two processes
TOGETHER = others_slow(
    [(("uncertainty", "graddrop", "meta"), 1)],
    [
        (("uncertainty", "graddrop", "meta"), 1),
        (("equal",), 1),
        (("equal", "uncertainty", "graddrop"), 3),
    ],
)


def overflowing(name, *more, **options):
    """Train until steps no longer overflow; return what training leaves.

    On W processes gradients are W times as large until they are averaged.
    """
    scale = 2.0**17 / processes_of().count
    options |= {"precision": "float16", "batch_size": 24, "patience": 8}
    trainer = made(name, *more, scale=scale, **options)
    trainer.fit((X, BIG), (X, BIG), epochs=9)
    tensors, _ = trainer.state()
    assert trainer.progress.skipped == 0
    return trainer.progress.overflowed, trainer.step, tensors


@pytest.mark.filterwarnings("ignore:the targets of 'b' have")
@pytest.mark.parametrize(("names", "pieces"), TOGETHER)
def test_an_overflow_in_one_process_skips_the_step_in_all(names, pieces):
    """With auxiliary tasks beside the balancer, too."""

    def each():
        return {name: overflowing(name, Noisy("n"), accumulate=pieces) for name in names}

    alone, processes = each(), in_processes(2, each)
    for name, (overflowed, steps, expected) in alone.items():
        for count, made_steps, tensors in (found[name] for found in processes):
            assert (count, made_steps) == (overflowed, steps), name
            assert 0 < count < steps
            for key, value in tensors.items():
                assert torch.equal(value, processes[0][name][2][key]), (name, key)
                if "model/" in key:
                    assert_close(value, expected[key], rtol=0.02, atol=2e-3, msg=f"{name} {key}")


@pytest.mark.parametrize("scale", [1.0, 2.0**16])
def test_losses_that_are_not_finite_end_training_as_in_float32(scale):
    trainer = made(precision="float16", scale=scale)
    bad = {"inputs": X, "targets": {**BATCH["targets"], "b": torch.full((24,), 1e30)}}
    for _ in range(9):
        assert trainer.train_step(bad).skipped
    with pytest.raises(TrainingError, match="loss of b was not finite in 10 steps in a row"):
        trainer.train_step(bad)
    assert trainer.progress.overflowed == 0


def test_gradients_that_overflow_without_a_scale_end_training():
    trainer = made(precision="float16", scale=2.0)
    bad = {"inputs": X, "targets": {**BATCH["targets"], "b": torch.full((24,), 1e10)}}
    for _ in range(10):
        assert trainer.train_step(bad).skipped
    with pytest.raises(TrainingError, match="the gradient was not finite in 10 steps in a row"):
        trainer.train_step(bad)
    assert trainer.progress.overflowed == 1


@pytest.mark.parametrize("name", ["equal", "imtl_l", "famo", "meta", "pcgrad", "moco"])
def test_a_resumed_trainer_continues_with_the_scale_it_had(name):
    kept, resumed = made(name, precision="float16", scale=2.0**20), made(name, precision="float16")
    for _ in range(4):
        kept.fit(DATA, DATA, epochs=kept.progress.epoch + 1)
    resumed.load_state(kept.state())
    assert 0 < kept.progress.overflowed == 20 - math.log2(scale_of(resumed))
    for trainer in (kept, resumed):
        trainer.fit(DATA, DATA, epochs=6)
    one, other = kept.state(), resumed.state()
    assert one[1] == other[1]
    assert all(torch.equal(tensor, other[0][name]) for name, tensor in one[0].items())


def test_the_scale_grows_again():
    trainer = made(precision="float16", scale=2.0)
    tensors, header = trainer.state()
    tensors["scale/_extra_state"][1] = 1999
    trainer.load_state(tensors, header)
    trainer.train_step(BATCH)
    assert scale_of(trainer) == 4.0


def test_parameters_in_float16_are_refused():
    model = MultiTaskModel(nn.Linear(5, 8), [Regression("b")]).half()
    with pytest.raises(InputError, match=r"precision: found float16 and .* remove model.half\(\)"):
        Trainer(model, precision="float16")


@pytest.mark.filterwarnings("ignore:the tasks share no parameter")
@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("name", ["equal", "uncertainty", "pcgrad", "graddrop"])
def test_the_penalty_of_a_sharing_scheme_is_unscaled(name, pieces):
    found = []
    for options in ({"precision": "float16"}, {}):
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Linear(5, 8), nn.Tanh())
        tasks = [Classification("a", classes=2), Regression("b"), Regression("c")]
        model = MultiTaskModel(encoder, tasks, sharing=create_sharing("soft", strength=0.5))
        trainer = Trainer(model, name, optimizer="sgd", accumulate=pieces, **options)
        if options:
            set_scale(trainer, SMALL)
        found.append((trainer, trainer.train_step(BATCH).gradient_norm))
    assert_close(found[0][1], found[1][1], rtol=0.01, atol=0)
    assert_same_training(found[0][0], found[1][0])
