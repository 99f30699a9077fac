"""Training on what a teacher predicts beside the labels."""

import pytest
import torch
from torch import nn

from motet import MultiTaskModel, Trainer, tasks
from motet.data.arrays import ArrayData
from motet.problems import InputError

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(24, 3, generator=GENERATOR)
LABELS = {"a": (X[:, 0] > 0).long(), "b": X[:, 1]}
SOFT = {"a": (0.3 * torch.randn(24, 2, generator=GENERATOR)).softmax(-1), "b": X[:, 2]}


def model():
    torch.manual_seed(0)
    return MultiTaskModel(
        nn.Sequential(nn.Linear(3, 4), nn.Tanh()),
        [tasks.Classification("a", classes=2), tasks.Regression("b")],
        width=4,
    )


def trained(data, **options):
    trainer = Trainer(model(), batch_size=8, learning_rate=0.05, **options)
    trainer.fit(data, epochs=2)
    return trainer


def weights(trainer):
    return torch.cat([each.detach().flatten() for each in trainer.model.parameters()])


def test_a_weight_of_zero_equals_training_without_bit_for_bit():
    without = trained(ArrayData(X, LABELS))
    zero = trained(ArrayData(X, LABELS, soft=SOFT), teacher_weight=0.0)
    assert torch.equal(weights(without), weights(zero))
    assert not torch.equal(weights(without), weights(trained(ArrayData(X, LABELS, soft=SOFT))))


def test_the_share_of_the_teacher_falls_to_zero_in_a_straight_line(monkeypatch):
    shares, before = [], MultiTaskModel.loss_terms

    def noting(self, raw, targets, weights=None, soft=None, share=1.0):
        if soft:
            shares.append(share)
        return before(self, raw, targets, weights, soft, share)

    monkeypatch.setattr(MultiTaskModel, "loss_terms", noting)
    trained(ArrayData(X, LABELS, soft=SOFT), teacher_weight=0.6)
    assert shares == pytest.approx([0.6 * (1 - step / 6) for step in range(6)])


def test_the_loss_is_the_mixture_of_both():
    built = model()
    raw = built(X)
    found = built.loss_terms(raw, LABELS, None, SOFT, 0.25)
    labels = built.losses(raw, LABELS)
    taught = built.losses(raw, SOFT)
    for task in LABELS:
        total, count = found[task]
        torch.testing.assert_close(total / count, 0.75 * labels[task] + 0.25 * taught[task])


def test_micro_batches_and_a_loader_give_the_same_model():
    whole = weights(trained(ArrayData(X, LABELS, soft=SOFT)))
    parts = weights(trained(ArrayData(X, LABELS, soft=SOFT), accumulate=2))
    torch.testing.assert_close(whole, parts)
    steps = Trainer(model(), batch_size=8, learning_rate=0.05)
    batches = ArrayData(X, LABELS, soft=SOFT).epoch(8, seed=0, number=0)
    for batch in batches:
        given = {"inputs": batch.inputs, "targets": batch.targets, "soft": batch.soft}
        result = steps.train_step(given)
    assert result.losses["a"].isfinite()


def test_gradient_balancers_see_the_mixture():
    data = ArrayData(X, LABELS, soft=SOFT)
    torch.testing.assert_close(
        weights(trained(data, balancer="equal")),
        weights(trained(data, balancer="pcgrad")),
        atol=1,
        rtol=1,
    )
    assert not torch.equal(
        weights(trained(data, balancer="upgrad")),
        weights(trained(ArrayData(X, LABELS), balancer="upgrad")),
    )


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="soft for 'c', which is not a task"):
        trained(ArrayData(X, LABELS, soft={"c": X}))
    with pytest.raises(InputError, match=r"shape \(3,\), expected \(2,\)"):
        trained(ArrayData(X, LABELS, soft={"a": X}))
    with pytest.raises(InputError, match="soft"):
        ArrayData(X, LABELS, soft={"a": SOFT["a"][:5]})
    with pytest.raises(InputError, match="teacher_weight"):
        trained(ArrayData(X, LABELS), teacher_weight=2.0)
