"""Triplets: the loss and recall against brute force; rows without a label are nowhere."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from motet import MultiTaskModel, Trainer
from motet.problems import InputError
from motet.tasks import Regression, ScoredRows, TaskMetrics, Triplet
from motet.tasks.losses.embeddings import triplet_loss
from motet.tasks.metrics import embeddings as metrics

DISTANCES = ("euclidean", "squared", "cosine")
SEEDS = st.integers(0, 2**32)


def naive_distance(a, b, distance):
    if distance == "cosine":
        lengths = [math.sqrt(sum(x * x for x in each)) for each in (a, b)]
        return 1 - sum(x * y for x, y in zip(a, b, strict=True)) / math.prod(lengths)
    squared = sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
    return squared if distance == "squared" else math.sqrt(squared)


def naive(rows, labels, margin, distance):
    """Losses of all anchors, in plain Python."""
    found = []
    for i, (row, label) in enumerate(zip(rows, labels, strict=True)):
        if label == -100:
            continue
        apart = {
            j: naive_distance(row, rows[j], distance)
            for j in range(len(rows))
            if j != i and labels[j] != -100
        }
        like = [d for j, d in apart.items() if labels[j] == label]
        unlike = [d for j, d in apart.items() if labels[j] != label]
        if like and unlike:
            found.append(max(0.0, max(like) - min(unlike) + margin))
    return found


@pytest.mark.parametrize("distance", DISTANCES)
@given(seed=SEEDS, classes=st.integers(1, 5))
def test_the_loss_is_that_of_every_anchor_by_hand(distance, seed, classes):
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(9, 3, generator=generator, dtype=torch.float64)
    target = torch.randint(0, classes, (9,), generator=generator)
    target[torch.rand(9, generator=generator) < 0.2] = -100
    task = Triplet("a", width=3, distance=distance)
    expected = naive(raw.tolist(), target.tolist(), 0.3, distance)
    total, count = task.loss(raw, target)
    assert_close(total, torch.tensor(sum(expected), dtype=torch.float64).reshape(()))
    assert count == len(expected) == task.count(target)


@pytest.mark.parametrize("distance", DISTANCES)
@given(seed=SEEDS)
def test_a_row_without_a_label_gets_no_gradient_and_gives_none(distance, seed):
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(10, 2, generator=generator)
    target = torch.randint(0, 3, (10,), generator=generator)
    target[torch.rand(10, generator=generator) < 0.4] = -100
    known = target != -100
    task = Triplet("a", width=2, distance=distance)
    expected = task.loss(raw[known], target[known])
    raw[~known] = torch.nan
    raw.requires_grad_()
    found = task.loss(raw, target)
    assert_close(found, expected)
    found[0].backward()
    assert (raw.grad[~known] == 0).all()
    assert raw.grad.isfinite().all()


@pytest.mark.parametrize("distance", DISTANCES)
def test_equal_rows_have_finite_gradients(distance):
    raw = torch.zeros(4, 2, requires_grad=True)
    total, count = Triplet("a", width=2, distance=distance).loss(raw, torch.tensor([0, 0, 1, 1]))
    total.backward()
    assert count == 4
    assert raw.grad.isfinite().all()


@pytest.mark.parametrize(
    ("margin", "expected"), [(0.3, [0, 0.8, 2.3, 0]), (1.0, [0.5, 1.5, 3.0, 0.5])]
)
def test_the_loss_of_a_line_has_known_values(margin, expected):
    raw = torch.tensor([[0.0], [1.0], [1.5], [4.0]])
    total, count = Triplet("a", width=1, margin=margin).loss(raw, torch.tensor([0, 0, 1, 1]))
    assert (total.item(), count) == (pytest.approx(sum(expected)), 4)


def test_given_triplets_have_known_values():
    a, p, n = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.1]]).unsqueeze(1)
    assert triplet_loss(a, p, n, margin=0.3).item() == pytest.approx(0.2)
    assert triplet_loss(a, p, n).item() == pytest.approx(0.9)
    assert triplet_loss(a, p, n, margin=0.3, distance="squared").item() == pytest.approx(0.09)
    own = nn.TripletMarginLoss(margin=1.0, reduction="none")
    rows = torch.randn(3, 8, 4, generator=torch.Generator().manual_seed(0))
    assert_close(triplet_loss(*rows), own(*rows), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("target", [[0, 1, 2, 3], [0, 0, 0, 0], [-100] * 4, [0, 0, -100, -100]])
def test_a_batch_without_an_anchor_counts_zero(target):
    raw = torch.randn(4, 2, requires_grad=True)
    total, count = Triplet("a", width=2).loss(raw, torch.tensor(target))
    assert (total.item(), count.item()) == (0, 0)


def test_weights_of_rows_are_refused():
    task, target = Triplet("a", width=2), torch.tensor([0, 0, 1])
    with pytest.raises(InputError, match="compares rows with each other"):
        task.loss(torch.randn(3, 2), target, torch.ones(3))
    with pytest.raises(InputError, match="compares rows with each other"):
        task.statistics(target, torch.ones(3))


# Recall ------------------------------------------------------------------------------------------


def scored(value, target):
    return ScoredRows(torch.as_tensor(value).double(), None, torch.as_tensor(target))


def naive_recall(rows, labels):
    found = []
    for i, label in enumerate(labels):
        if labels.count(label) < 2:
            continue
        apart = {j: math.dist(rows[i], rows[j]) for j in range(len(rows)) if j != i}
        nearest = [j for j, d in apart.items() if d == min(apart.values())]
        found.append(sum(labels[j] == label for j in nearest) / len(nearest))
    return sum(found) / len(found) if found else math.nan


@given(seed=SEEDS, at_once=st.sampled_from([1, 30, 1 << 23]))
def test_recall_is_that_by_hand_however_many_rows_are_compared_at_once(seed, at_once):
    generator = torch.Generator().manual_seed(seed)
    value = torch.randint(0, 4, (15, 2), generator=generator).double() + 1000  # ties
    target = torch.randint(0, 5, (15,), generator=generator)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "_AT_ONCE", at_once)
        found = metrics.recall_at_1(scored(value, target))
    expected = naive_recall(value.tolist(), target.tolist())
    assert found.value == pytest.approx(expected, nan_ok=True)


def test_the_trivial_recall_is_chance():
    target = [0, 0, 0, 1, 1, 2]
    task = Triplet("a", width=4)
    found = TaskMetrics([task], trivial={"a": {"recall_at_1": task.trivial(None, "")}})
    found.update({"a": torch.randn(6, 4)}, {"a": torch.tensor(target)})
    found.compute()
    assert found.trivial["a"]["recall_at_1"] == pytest.approx(0.32)
    assert found.notes["a.recall_at_1"] == "without 1 row whose class has no other row as queries"


def test_without_two_rows_of_a_class_there_is_no_recall():
    found = metrics.recall_at_1(scored(torch.randn(3, 2), [0, 1, 2]))
    assert math.isnan(found.value)
    assert found.note == "no row has another one of its class"


# Training ----------------------------------------------------------------------------------------


def people(rows=300, seed=0):
    generator = torch.Generator().manual_seed(seed)
    who = torch.randint(0, 12, (rows,), generator=generator)
    centres = torch.randn(12, 4, generator=generator)
    noise = torch.randn(rows, 8, generator=generator) * torch.tensor([0.3] * 4 + [3.0] * 4)
    return torch.cat([centres[who], torch.zeros(rows, 4)], dim=1) + noise, who


@pytest.mark.parametrize("distance", DISTANCES)
def test_an_embedding_is_learned_from_python_beside_another_task(distance):
    torch.manual_seed(0)
    x, who = people()
    target = who.clone()
    target[::10] = -100
    tasks = [Triplet("who", width=8, distance=distance), Regression("y")]
    trainer = Trainer(
        MultiTaskModel(nn.Linear(8, 8), tasks), "pcgrad", batch_size=100, learning_rate=0.02
    )
    trainer.fit((x, {"who": target, "y": x[:, 0]}), epochs=20)
    report = trainer.evaluate((x, {"who": who}))
    before = metrics.recall_at_1(scored(x, who)).value
    assert report["who"]["recall_at_1"] > before + 0.2
    embedding = trainer.predict(x)["who"]
    assert embedding.shape == (300, 8)
    if distance == "cosine":
        assert_close((embedding**2).sum(axis=1), torch.ones(300).double().numpy())


def test_micro_batches_are_refused_with_the_reason():
    model = MultiTaskModel(nn.Linear(8, 8), [Triplet("who")])
    with pytest.raises(InputError, match="'who', whose loss compares the rows of a batch"):
        Trainer(model, accumulate=2)


def test_training_data_without_a_triplet_are_refused():
    trainer = Trainer(MultiTaskModel(nn.Linear(8, 8), [Triplet("who")]))
    with pytest.raises(InputError, match="so there is no triplet"):
        trainer.fit((torch.randn(4, 8), {"who": torch.arange(4)}), epochs=1)
    with pytest.raises(InputError, match=r"shape \(4, 2\), expected \(4,\)"):
        trainer.fit((torch.randn(4, 8), {"who": torch.zeros(4, 2)}), epochs=1)
