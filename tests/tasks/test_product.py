"""Products of probabilities: exact in logarithms, and trained through all parts."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quick_cases import others_slow
from torch import nn

from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import Classification, Regression
from motet.tasks.product import log_product
from motet.training import Trainer


@given(parts=st.lists(st.lists(st.floats(-30, 30), min_size=2, max_size=2), min_size=2, max_size=4))
def test_the_product_is_that_of_the_probabilities_in_float64(parts):
    logits = [torch.tensor([each], dtype=torch.float64) for each in parts]
    found = log_product(logits)
    p = torch.stack([each.softmax(-1)[0, 1] for each in logits]).prod()
    torch.testing.assert_close(found[0].exp(), torch.stack([1 - p, p]), rtol=1e-9, atol=1e-12)


def test_it_has_a_gradient_where_probabilities_round_to_0_or_1():
    for sure in (90.0, -90.0):
        logits = [torch.tensor([[0.0, sure]], requires_grad=True) for _ in range(2)]
        found = log_product(logits)
        assert found.isfinite().all()
        found[0, 0 if sure > 0 else 1].backward()
        for each in logits:
            assert each.grad.isfinite().all()
            assert each.grad.any()


def test_gradients_are_right():
    parts = [torch.randn(3, 2, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    assert torch.autograd.gradcheck(lambda *parts: log_product(list(parts)), parts)


def esmm(**latent):
    torch.manual_seed(0)
    tasks = [
        Classification("buy", classes=2, product=["click", "buy_given_click"]),
        Classification("click", classes=2),
        Classification("buy_given_click", classes=2, **(latent or {"latent": True})),
    ]
    return MultiTaskModel(nn.Sequential(nn.Linear(3, 8), nn.Tanh()), tasks)


def clicks(rows=4000):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, 3, generator=generator)
    click = torch.rand(rows, generator=generator) < (2 * x[:, 0]).sigmoid()
    buy = click & (torch.rand(rows, generator=generator) < (2 * x[:, 1]).sigmoid())
    return x, {"click": click.long(), "buy": buy.long()}


def test_the_loss_is_the_cross_entropy_of_the_product():
    model, (x, targets) = esmm(), clicks(50)
    raw = model(x)
    p = raw["click"].softmax(-1)[:, 1] * raw["buy_given_click"].softmax(-1)[:, 1]
    wanted = nn.functional.binary_cross_entropy(p, targets["buy"].float())
    losses = model.losses(raw, targets)
    torch.testing.assert_close(losses["buy"], wanted)
    assert list(losses) == ["buy", "click"]
    assert list(model(x, "buy")) == ["buy"]


@pytest.mark.parametrize(
    "balancer", others_slow(["pcgrad"], ["equal", "uncertainty", "pcgrad", "famo"])
)
def test_a_latent_part_is_found_from_all_rows(balancer):
    model, data = esmm(), clicks()
    trainer = Trainer(model, balancer, learning_rate=0.01, batch_size=256, seed=0)
    trainer.fit(data, epochs=12)
    x = clicks(2000)[0]
    raw = model(x)["buy_given_click"].detach()
    found, truth = raw.softmax(-1)[:, 1], (2 * x[:, 1]).sigmoid()
    assert float((found - truth).abs().mean()) < 0.08  # for rows without a click, too
    report = trainer.evaluate(data)
    assert set(report.tasks) == {"buy", "click"}
    predicted = trainer.predict(x)
    assert set(predicted) == {"buy", "click", "buy_given_click"}


def test_the_head_of_a_latent_part_belongs_to_the_product_and_that_of_another_is_shared():
    model, data = esmm(), clicks(64)
    for _ in range(2):
        own = set(map(id, model.heads["buy_given_click"].parameters()))
        assert {id(p) for p in model.task_parameters("buy")} == own
        shared = {id(p) for p in model.shared_parameters()}
        assert {id(p) for p in model.heads["click"].parameters()} <= shared
        Trainer(model, "pcgrad").train_step({"inputs": data[0], "targets": data[1]})


def test_micro_batches_make_the_same_step():
    found = []
    for accumulate in (1, 4):
        model, (x, targets) = esmm(), clicks(64)
        trainer = Trainer(model, "pcgrad", optimizer="sgd", accumulate=accumulate)
        trainer.train_step({"inputs": x, "targets": targets})
        found.append([each.detach() for each in model.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"product": ["click"]}, "product: found click and 2 classes; expected two or more"),
        ({"product": ["click", "click"]}, "expected two or more tasks that differ"),
        ({"product": ["click", "spend"]}, "product: found 'spend', a regression task; expected"),
        ({"product": ["click", "three"]}, "found 'three', a classification task of 3 classes"),
        ({"product": ["click", "clik"]}, "'buy' reads 'clik', which is not a task; did you mean"),
        ({"product": ["click", "two"], "reads": ["two"]}, "product: found reads too"),
        ({"product": ["click", "two"], "head": nn.Linear(3, 2)}, "product: found head too"),
        ({"product": ["click", "two"], "classes": 3}, "and 3 classes; expected"),
        ({"latent": True}, "'buy' is latent, so it needs another task that trains it"),
        ({"latent": True, "column": "x"}, "latent: found true, and column; a latent task has no"),
        ({"latent": True, "classes": None}, "the number of classes is not known"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    def made():
        tasks = [
            Classification("buy", **{"classes": 2, **options}),
            Classification("click", classes=2),
            Classification("two", classes=2),
            Classification("three", classes=3),
            Regression("spend"),
        ]
        return MultiTaskModel(nn.Linear(3, 4), tasks)

    with pytest.raises(InputError, match=message):
        made()
