"""Models of an ensemble: each member by itself, and all together, for every kind of task."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import motet
from motet.encoders import Ensemble
from motet.model import MultiTaskModel
from motet.model.member_heads import LoopedHeads, MemberHeads
from motet.problems import InputError
from motet.tasks import (
    Classification,
    Count,
    Custom,
    Denoising,
    MultiLabel,
    Ordinal,
    Quantile,
    Ranking,
    Regression,
    TaskMetrics,
)
from motet.tasks.denoising import Cells
from motet.tasks.members import loss_of

B, K, D = 6, 3, 4
torch.manual_seed(1)
X = torch.randn(B, D, dtype=torch.float64)
NAN = torch.nan
TARGETS = {
    "price": torch.tensor([1.0, NAN, -2.0, 0.5, 0.0, 3.0]),
    "sizes": torch.randn(B, 2),
    "kind": torch.tensor([0, 2, -100, 1, 1, 0]),
    "tags": torch.tensor([[1.0, 0], [NAN, 1], [0, 0], [1, 1], [0, NAN], [1, 0]]),
    "stars": torch.tensor([0, 1, 2, 2, -100, 1]),
    "visits": torch.tensor([0.0, 3, 1, NAN, 2, 0]),
    "wait": torch.tensor([1.0, 2, NAN, 0, 1, -1]),
    "rank": torch.tensor([[2.0, 0], [1, 0], [0, 0], [1, 1], [0, 1], [NAN, NAN]]),
    "own": torch.tensor([1.0, 2, 3, 4, NAN, 6]),
}
WEIGHTS = torch.tensor([1.0, 2, 0, 0.5, 1, 3])


def tasks():
    return [
        Regression("price", scaling=(10.0, 2.0)),
        Regression("sizes", outputs=2, head={"hidden": [3], "activation": "gelu"}),
        Classification("kind", classes=3, class_weights=[1.0, 2.0, 0.5]),
        MultiLabel("tags", classes=2),
        Ordinal("stars", classes=3),
        Count("visits"),
        Quantile("wait", quantiles=[0.1, 0.5, 0.9]),
        Ranking("rank"),
        Custom("own", loss=lambda raw, target: (raw - target).abs().mean()),
    ]


def made(given=None, **options):
    torch.manual_seed(0)
    encoder = Ensemble(D, **{"members": K, "hidden": [5], "dropout": 0.0, **options})
    model = MultiTaskModel(encoder, given or tasks()).double()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_()
    return model


def by_member(raw):
    return [{task: each[:, member] for task, each in raw.items()} for member in range(K)]


def test_raw_outputs_have_members_as_their_second_axis():
    shapes = {task: tuple(raw.shape[1:]) for task, raw in made()(X).items()}
    assert shapes == {
        "price": (K,),
        "sizes": (K, 2),
        "kind": (K, 3),
        "tags": (K, 2),
        "stars": (K,),
        "visits": (K,),
        "wait": (K, 3),
        "rank": (K,),
        "own": (K,),
    }


def test_each_member_has_heads_with_weights_of_its_own():
    model = made()
    states = model.states(X)
    raw = model(X)
    for member in range(K):
        head = model.heads["price"].layers[0]
        expected = states["price"][:, member] @ head.weight[member].T + head.bias[member]
        assert_close(raw["price"][:, member], expected.squeeze(1))
        first, _, last = model.heads["sizes"].layers
        hidden = states["sizes"][:, member] @ first.weight[member].T + first.bias[member]
        found = nn.functional.gelu(hidden) @ last.weight[member].T + last.bias[member]
        assert_close(raw["sizes"][:, member], found)
        assert not torch.equal(head.weight[member], head.weight[member - 1])


@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_is_the_mean_over_members(weighted):
    model = made()
    raw = model(X)
    names = [task for task in TARGETS if not (weighted and task in ("rank", "own"))]
    weights = dict.fromkeys(names, WEIGHTS) if weighted else {}
    given = {task: TARGETS[task] for task in names}
    found = model.loss_terms({task: raw[task] for task in names}, given, weights)
    for task in names:
        own = model.tasks[task]
        more = (WEIGHTS,) if weighted else ()
        each = [own.loss(part[task], given[task], *more) for part in by_member(raw)]
        total, count = found[task]
        assert_close(total, torch.stack([part[0] for part in each]).mean())
        assert_close(count, each[0][1].to(count.dtype))
        assert_close(count, own.count(given[task], *more).to(count.dtype))


def test_labels_that_are_missing_everywhere_give_nothing():
    model = made()
    total, count = model.loss_terms(model(X), {"price": torch.full((B,), NAN)})["price"]
    assert (total.item(), count.item()) == (0.0, 0.0)


def test_probabilities_and_numbers_of_members_are_averaged():
    model = made()
    raw = model(X)
    found = model.decode(raw)
    parts = [
        {task: model.tasks[task].decode(each) for task, each in part.items()}
        for part in by_member(raw)
    ]
    for task in ("kind", "tags", "stars"):
        mean = torch.stack([part[task].probabilities for part in parts]).mean(dim=0)
        assert_close(found[task].probabilities, mean)
        spread = torch.stack([part[task].probabilities for part in parts]).std(0, correction=0)
        assert_close(found[task].spread, spread)
    for task in ("price", "sizes", "visits", "wait", "rank", "own"):
        values = torch.stack([part[task].value for part in parts])
        assert_close(found[task].value, values.mean(dim=0))
        assert_close(found[task].spread, values.std(0, correction=0))
    assert torch.equal(found["kind"].value, found["kind"].probabilities.argmax(dim=1))
    assert torch.equal(found["tags"].value, (found["tags"].probabilities >= 0.5).long())


def test_metrics_are_of_the_combined_prediction():
    model = made()
    raw = {task: each.detach() for task, each in model(X).items()}
    metrics = TaskMetrics(model.tasks, {"price": ["mae"], "kind": ["log_loss"]})
    metrics.update(raw, TARGETS)
    found, prediction = metrics.compute(), model.decode(raw)
    known = ~TARGETS["price"].isnan()
    truth = TARGETS["price"][known] * 2 + 10
    error = (prediction["price"].value[known] - truth).abs().mean()
    assert found["price"]["mae"] == pytest.approx(error.item())
    labelled = TARGETS["kind"] >= 0
    chosen = prediction["kind"].probabilities[labelled, TARGETS["kind"][labelled]]
    assert found["kind"]["log_loss"] == pytest.approx(-chosen.log().mean().item())
    loss = model.losses(raw, TARGETS)
    assert found["price"]["loss"] == pytest.approx(loss["price"].item())


def test_lists_of_different_members_are_not_ranked_together():
    model = made([Ranking("rank")])
    raw = torch.zeros(B, K, dtype=torch.float64)
    raw[:, 1] = 100.0
    found, _ = loss_of(model.tasks["rank"], raw, TARGETS["rank"])
    alone, _ = model.tasks["rank"].loss(raw[:, 0], TARGETS["rank"])
    assert_close(found, alone)


def test_auxiliary_tasks_are_computed_by_every_member():
    denoising = Denoising("cells", cells=Cells(numbers=(0, 1, 2, 3)))
    model = made([Regression("price"), denoising])
    seen, target = denoising.view(X, torch.Generator().manual_seed(0))
    raw = model(seen, ["cells"])
    assert raw["cells"].shape == (B, K, D)
    total, count = model.loss_terms(raw, {"cells": target})["cells"]
    each = [denoising.loss(part["cells"], target) for part in by_member(raw)]
    assert_close(total, torch.stack([part[0] for part in each]).mean())
    assert count.item() == B * D


def test_a_member_reads_the_output_of_the_same_member_of_another_task():
    reads = {"price": {"detach": False}}
    model = made([Regression("price"), Regression("tax", reads=reads)])
    raw = model(X)
    head = model.heads["tax"].head.layers[0]
    states = model.states(X)["tax"]
    for member in range(K):
        read = torch.cat([states[:, member], raw["price"][:, member, None]], dim=1)
        expected = read @ head.weight[member].T + head.bias[member]
        assert_close(raw["tax"][:, member], expected.squeeze(1))


def test_products_are_of_the_same_member():
    click = Classification("click", classes=2)
    buy = Classification("buy", classes=2, latent=True)
    both = Classification("both", classes=2, product=["click", "buy"])
    model = made([click, buy, both])
    raw = model(X, ["click", "buy", "both"])
    chance = raw["click"].softmax(-1)[..., 1] * raw["buy"].softmax(-1)[..., 1]
    assert_close(raw["both"].exp()[..., 1].double(), chance, rtol=1e-5, atol=1e-6)


def test_a_function_makes_a_head_for_every_member_and_one_module_is_refused():
    model = made([Regression("price", head=lambda width, outputs: nn.Linear(width, outputs))])
    assert isinstance(model.heads["price"], LoopedHeads)
    states, raw = model.states(X)["price"], model(X)["price"]
    for member, head in enumerate(model.heads["price"].heads):
        assert_close(raw[:, member], head(states[:, member]))
    with pytest.raises(InputError, match=r"each of whose 3 members.*function \(width, outputs\)"):
        made([Regression("price", head=nn.Linear(5, 1))])


def test_a_task_that_was_given_to_another_model_is_named():
    shared = Regression("price")
    model = made([shared])
    raw = model(X)
    MultiTaskModel(nn.Linear(D, 2), [shared])
    with pytest.raises(InputError, match="price"):
        model.loss_terms(raw, {"price": TARGETS["price"]})
    made([shared])
    with pytest.raises(InputError, match="3 members; make a task of its own for each model"):
        loss_of(shared, raw["price"][:, 0], TARGETS["price"])


def test_tasks_that_read_words_are_refused():
    with pytest.raises(InputError, match="members"):
        made([motet.tasks.WordRegression("stress")])


def test_an_own_encoder_declares_how_many_members_it_gives():
    class Twice(nn.Module):
        gives = "members"
        width = D

        def forward(self, rows):
            return torch.stack([rows, 2 * rows], dim=1).flatten(0, 1)

    with pytest.raises(InputError, match="members = null; expected how many"):
        MultiTaskModel(Twice(), [Regression("price")])
    encoder = Twice()
    encoder.members = 2
    model = MultiTaskModel(encoder, [Regression("price")]).double()
    assert model(X)["price"].shape == (B, 2)
    assert isinstance(model.heads["price"], MemberHeads)
    assert_close(model.represent(X), 1.5 * X)
    encoder.members = 5
    with pytest.raises(InputError, match="members"):
        MultiTaskModel(encoder, [Regression("price")]).double()(X)


def test_a_description_has_the_number_of_members():
    assert made().describe()["members"] == K
    assert "members" not in MultiTaskModel(nn.Linear(2, 3), [Regression("a")]).describe()


def test_a_task_is_added_with_heads_for_all_members():
    model = made([Regression("price")])
    before = model(X)["price"]
    model.add_task(Classification("kind", classes=3))
    assert model(X)["kind"].shape == (B, K, 3)
    assert torch.equal(model(X)["price"], before)
