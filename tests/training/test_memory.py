"""An error about memory names what needs less: what applies here and is not used yet, in order."""

import gc
import re
import weakref

import numpy as np
import pytest
import torch
from gloo import in_processes
from torch import nn

from motet.encoders import Transformer
from motet.model import MultiTaskModel
from motet.processes import ProcessLost
from motet.tasks import Regression
from motet.training import OutOfMemory, Trainer, TrainingError

X = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
DATA = (X, {"a": X[:, 0], "b": X[:, 1]})
BATCH = {"inputs": X, "targets": DATA[1]}
ERRORS = {
    "numpy": lambda: np.empty(1 << 60, np.uint8),
    "torch on a CPU": lambda: torch.empty(1 << 60),
    "torch on a GPU": lambda: (_ for _ in ()).throw(
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    ),
    "python": lambda: (_ for _ in ()).throw(MemoryError()),
    "torch elsewhere": lambda: (_ for _ in ()).throw(
        RuntimeError("MPS backend out of memory (allocated 9 GB)")
    ),
}


def made(balancer="pcgrad", encoder=None, **options):
    model = MultiTaskModel(encoder or nn.Linear(4, 6), [Regression("a"), Regression("b")])
    return Trainer(model, balancer, **{"batch_size": 8, **options})


def full(trainer, raising=ERRORS["python"]):
    """Let the memory be full in every forward pass."""
    trainer.model.heads["a"].register_forward_hook(lambda *_: raising())
    return trainer


def advice_text(trainer, batch=BATCH):
    with pytest.raises(OutOfMemory) as caught:
        full(trainer).train_step(batch)
    return str(caught.value).split("; try ")[1].split("; ")


def advice(trainer, batch=BATCH):
    found = (re.match(r"([\w.]+): (\w+)", each) for each in advice_text(trainer, batch))
    return [each.groups() for each in found if each]


@pytest.mark.parametrize("kind", ERRORS)
def test_every_kind_of_error_is_recognised_wherever_it_happens(kind):
    trainer = full(made(), ERRORS[kind])
    for call, where in (
        (lambda: trainer.fit(DATA, epochs=1), "step 1"),
        (lambda: trainer.train_epoch(DATA), "step 1"),
        (lambda: trainer.train_step(BATCH), "step 1"),
        (lambda: trainer.evaluate(DATA), "the evaluation"),
        (lambda: trainer.predict(X), "the prediction"),
    ):
        with pytest.raises(OutOfMemory, match=rf"^out of memory in {where} \(.+\); try training"):
            call()


def test_other_errors_pass_as_they_are():
    def broken():
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match=r"^something else$"):
        full(made(), broken).train_step(BATCH)


def test_all_that_applies_is_named_in_order():
    assert advice(made("upgrad", keep="each")) == [
        ("training.batch_size", "4"),
        ("training.accumulate", "2"),
        ("training.precision", "bfloat16"),
        ("balancing.memory", "low"),
        ("balancing.at", "representation"),
        ("training.keep", "best"),
    ]


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({}, "batch_size accumulate precision memory at"),
        ({"batch_size": 1}, "precision memory at"),
        ({"accumulate": 2}, "batch_size accumulate precision"),
        ({"accumulate": 8, "precision": "float16"}, "batch_size"),
        ({"precision": "bfloat16"}, "batch_size accumulate memory at"),
        ({"balancer": "equal"}, "batch_size accumulate precision"),
        ({"balancer": "gradient_ratio"}, "batch_size precision"),
        ({"balancer": "moco"}, "batch_size accumulate precision"),
        ({"balancer": {"type": "upgrad", "memory": "low"}}, "batch_size precision"),
        ({"balancer": {"type": "upgrad", "at": "representation"}}, "batch_size precision"),
        (
            {"balancer": {"type": "upgrad", "gramian": "layers"}},
            "batch_size",
        ),
    ],
)
def test_what_would_be_refused_or_is_used_already_is_not_named(options, keys):
    found = advice(made(**options))
    assert [key.split(".")[1] for key, _ in found] == keys.split()


def test_more_gpus_than_processes_are_named(monkeypatch):
    monkeypatch.setattr("motet.training.memory._gpus", lambda device: 4)
    assert advice_text(made())[-1].startswith("--processes 4")
    norm = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6))  # of one process
    assert "--processes" not in " ".join(advice_text(made(encoder=norm)))
    layers = {"type": "upgrad", "gramian": "layers"}
    assert "--processes" not in " ".join(advice_text(made(layers)))


def test_what_several_processes_do_not_support_is_not_named():
    names = ("graddrop", "upgrad")

    def named():
        return ["at" in dict(k.split(".")[::-1] for k, _ in advice(made(n))) for n in names]

    assert [name for name, at in zip(names, named(), strict=True) if at] == [*names]
    assert in_processes(2, named) == [[False, True]] * 2


def test_options_that_are_named_make_a_trainer():
    """None is refused beside the others that are there already."""
    for balancer in ("equal", "upgrad", "pcgrad", "gradnorm", "gradient_ratio", "moco", "meta"):
        for key, value in advice(made(balancer)):
            section, name = key.split(".")
            value = int(value) if value.isdigit() else value
            if section == "training":
                made(balancer, **{name: value})
            else:
                made({"type": balancer, name: value})


def test_an_encoder_that_could_recompute_its_layers_is_named():
    words = {"inputs": torch.randint(1, 20, (8, 5)), "targets": DATA[1]}
    for on in (False, True):
        encoder = Transformer(20, width=8, heads=2, layers=1, checkpointing=on)
        found = advice(made("equal", encoder), words)
        assert (("checkpointing", "true") in found) is not on


def test_processes_do_not_wait_for_one_without_memory():
    def evaluated():
        trainer = made(batch_size=2)
        if trainer.processes.rank == 1:
            full(trainer)
        with pytest.raises((OutOfMemory, ProcessLost)) as caught:
            trainer.evaluate(DATA)
        return type(caught.value)

    assert in_processes(2, evaluated) == [ProcessLost, OutOfMemory]


def test_the_memory_of_the_step_is_free_when_the_error_arrives():
    trainer, seen = made(), []

    def remember(module, given, output):
        seen.append(weakref.ref(output))

    trainer.model.sharing.register_forward_hook(lambda m, g, o: remember(m, g, o["a"]))
    full(trainer)
    with pytest.raises(OutOfMemory) as caught:
        trainer.train_step(BATCH)
    gc.collect()
    assert caught.value is not None
    assert seen[0]() is None


def test_training_continues_after_it():
    trainer = made()
    hook = trainer.model.heads["a"].register_forward_hook(lambda *_: ERRORS["python"]())
    with pytest.raises(TrainingError):
        trainer.train_step(BATCH)
    hook.remove()
    other = made()
    other.model.load_state_dict(trainer.model.state_dict())
    for each in (trainer, other):
        assert each.step == 0
        each.train_step(BATCH)
    for one, two in zip(trainer.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(one, two)
