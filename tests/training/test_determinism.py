"""Deterministic algorithms are used while a trainer computes, and nowhere else."""

import pytest
import torch
from torch import nn

from motet.model import MultiTaskModel
from motet.tasks import Regression
from motet.training import Trainer, TrainingError

X = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
DATA = (X, {"a": X[:, 0], "b": X[:, 1]})


class Asking(nn.Linear):
    """Records which algorithms are asked for."""

    def forward(self, inputs):
        self.asked = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
        return super().forward(inputs)


@pytest.mark.parametrize("deterministic", [False, True])
def test_they_are_used_while_it_computes_and_settings_are_restored(deterministic, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    encoder = Asking(4, 6)
    trainer = Trainer(
        MultiTaskModel(encoder, [Regression("a"), Regression("b")]),
        "pcgrad",
        batch_size=4,
        deterministic=deterministic,
    )
    for call in (
        lambda: trainer.fit(DATA, DATA, epochs=1),
        lambda: trainer.train_step({"inputs": X, "targets": DATA[1]}),
        lambda: trainer.evaluate(DATA),
        lambda: trainer.predict(X),
    ):
        encoder.asked = None
        call()
        assert encoder.asked == (deterministic, not deterministic)
        assert not torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        trainer.predict(X)
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


class Unordered(nn.Module):
    def forward(self, inputs):
        torch.use_deterministic_algorithms  # noqa: B018  # a device without one would raise this
        raise RuntimeError(
            "scatter_cuda_ does not have a deterministic implementation, but you set "
            "'torch.use_deterministic_algorithms(True)'. You can turn off ..."
        )


def test_an_operation_without_one_is_explained():
    model = MultiTaskModel(nn.Sequential(nn.Linear(4, 6), Unordered()), [Regression("a")], width=6)
    trainer = Trainer(model, deterministic=True)
    with pytest.raises(TrainingError, match=r"^deterministic: scatter_cuda_ has no deterministic"):
        trainer.train_step({"inputs": X, "targets": {"a": DATA[1]["a"]}})
    assert not torch.are_deterministic_algorithms_enabled()


def test_two_trainings_are_equal_bit_for_bit():
    found = []
    for _ in range(2):
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Linear(4, 32), nn.Dropout(0.2), nn.Tanh())
        model = MultiTaskModel(encoder, [Regression("a"), Regression("b")])
        Trainer(model, "upgrad", batch_size=4, deterministic=True).fit(DATA, DATA, epochs=2)
        found.append(model.state_dict())
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())
