"""A batch worked on part by part gives the step of the whole batch, or is refused."""

import numpy as np
import pytest
import torch
from quick_cases import others_slow
from torch import nn
from torch.testing import assert_close

from motet.encoders import LSTM
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.registry import BALANCERS
from motet.sharing import create as create_sharing
from motet.tasks import Classification, Regression, SequenceLabelling
from motet.training import Trainer

RNG = np.random.default_rng(0)
X = torch.from_numpy(RNG.normal(size=(23, 5)).astype(np.float32))
A = (X[:, 0] > 0).long()
B = X[:, 1] * 2 + 0.1
A[:9] = -100  # whole parts without a label of one task
B[20:] = torch.nan
BATCH = {"inputs": X, "targets": {"a": A, "b": B, "c": X[:, 2]}}
OPTIONS = {
    "manual": {"weights": {"a": 1.0, "b": 0.5, "c": 2.0}},
    "gradnorm": {"layer": "all"},
}
REFUSED = {"meta", "gradient_ratio"}  # they need the whole batch at once
NAMES = [name for name in BALANCERS if name not in REFUSED]


def chosen(name):
    return {"type": name, **OPTIONS.get(name, {})}


def trainer(balancer="equal", model=None, **options):
    torch.manual_seed(0)
    if model is None:
        encoder = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 6), nn.Tanh())
        tasks = [Classification("a", classes=2), Regression("b"), Regression("c", weight=1.0)]
        model = MultiTaskModel(encoder, tasks)
    sgd = {"type": "sgd", "learning_rate": 0.1, "momentum": 0.9}
    return Trainer(model, balancer, optimizer=sgd, **options)


def assert_same_steps(whole, parts, steps=3, batch=BATCH):
    for _ in range(steps):
        one, other = whole.train_step(batch), parts.train_step(batch)
        assert list(one.losses) == list(other.losses)
        assert_close(list(other.losses.values()), list(one.losses.values()))
        assert_close(other.gradient_norm, one.gradient_norm, rtol=1e-4, atol=1e-6)
    mine, theirs = parts.model.state_dict(), whole.model.state_dict()
    for name, value in theirs.items():
        assert_close(mine[name], value, rtol=1e-4, atol=1e-5, msg=name)
    for name, value in whole.stages.state_dict().items():
        assert_close(parts.stages.state_dict()[name], value, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("parts", others_slow([5], [2, 5]))
@pytest.mark.parametrize("name", NAMES)
def test_parts_make_the_step_of_the_whole_batch_with_every_balancer(name, parts):
    balancer = chosen(name)
    assert_same_steps(trainer(balancer), trainer(balancer, accumulate=parts))


@pytest.mark.parametrize("name", ["equal", "uncertainty", "upgrad"])
@pytest.mark.parametrize("decoder", ["linear", "lstm", "crf"])
def test_sequences_of_any_length_make_the_step_of_the_whole_batch_too(decoder, name):
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(0, 7, (23, 1), generator=generator)
    ids = torch.randint(1, 20, (23, 6), generator=generator).where(torch.arange(6) < lengths, 0)
    tags = (ids % 3).where((ids > 0) & (ids < 15), -100)
    tags[6:12] = -100  # a whole part without a tag
    batch = {"inputs": {"ids": ids}, "targets": {"slots": tags, "a": A}}

    def made(parts):
        torch.manual_seed(0)
        slots = SequenceLabelling("slots", classes=["O", "B-x", "I-x"], decoder=decoder)
        tasks = [slots, Classification("a", classes=2)]
        model = MultiTaskModel(LSTM(20, width=6, dropout=0.0), tasks).double()
        return trainer(name, model, accumulate=parts)

    whole, parts = made(1), made(4)
    for _ in range(3):
        whole.train_step(batch)
        parts.train_step(batch)
    theirs = whole.model.state_dict()
    for key, value in parts.model.state_dict().items():
        assert_close(value, theirs[key], rtol=0, atol=1e-12, msg=key)


@pytest.mark.parametrize("name", ["equal", "uncertainty", "random", "pcgrad", "gradnorm"])
@pytest.mark.parametrize("options", [{"normalize_losses": "initial"}, {"clip_norm": 0.1}])
def test_normalised_losses_and_clipping_see_the_whole_batch(name, options):
    balancer = chosen(name)
    assert_same_steps(trainer(balancer, **options), trainer(balancer, accumulate=3, **options))


@pytest.mark.parametrize("name", ["equal", "uncertainty", "random", "upgrad", "gradnorm"])
def test_a_task_whose_parts_are_all_frozen_is_left_out_as_with_the_whole_batch(name):
    def made(parts):
        torch.manual_seed(0)
        tasks = [Classification("a", classes=2), Regression("b"), Regression("c")]
        sharing = create_sharing("hard", groups=[["a", "b"], ["c"]])
        model = MultiTaskModel(nn.Linear(5, 8), tasks, sharing=sharing)
        return trainer(chosen(name), model, accumulate=parts, freeze=["c"])

    whole, parts = made(1), made(4)
    assert list(whole.train_step(BATCH).losses) == list(parts.train_step(BATCH).losses)
    assert_same_steps(whole, parts)


@pytest.mark.filterwarnings("ignore:the tasks share no parameter")
@pytest.mark.parametrize("name", ["equal", "dwa", "pcgrad"])
def test_a_penalty_is_added_once(name):
    def made(parts):
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Linear(5, 8), nn.Tanh())
        tasks = [Classification("a", classes=2), Regression("b"), Regression("c")]
        model = MultiTaskModel(encoder, tasks, sharing=create_sharing("soft", strength=0.5))
        return trainer(name, model, accumulate=parts)

    assert_same_steps(made(1), made(4))


def test_more_parts_than_rows_and_batches_without_labels_are_fine():
    few = {"inputs": X[:3], "targets": {"b": B[:3]}}
    assert_same_steps(trainer("pcgrad"), trainer("pcgrad", accumulate=7), batch=few)
    nothing = {"inputs": X[:3], "targets": {"a": A[:3]}}
    with pytest.warns(UserWarning, match="no row of the batch has a label"):
        assert trainer("pcgrad", accumulate=2).train_step(nothing).losses == {}


def test_a_loss_that_is_not_finite_skips_the_step():
    for balancer in ("equal", "uncertainty", "upgrad"):
        made = trainer(balancer, accumulate=3)
        before = [p.detach().clone() for p in made.model.parameters()]
        bad = {"inputs": X.clone(), "targets": BATCH["targets"]}
        bad["inputs"][20] = torch.inf
        assert made.train_step(bad).skipped
        assert all(map(torch.equal, before, made.model.parameters()))


@pytest.mark.parametrize("name", ["equal", "uncertainty", "pcgrad"])
def test_batch_norm_sees_every_part_once(name):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4))
    tasks = [Classification("a", classes=2), Regression("b"), Regression("c")]
    model = MultiTaskModel(encoder, tasks)
    trainer(name, model, accumulate=3).train_step(BATCH)
    assert encoder[1].num_batches_tracked == 3


@pytest.mark.parametrize("name", ["uncertainty", "random"])
def test_dropout_is_the_same_where_losses_are_looked_at_first(name):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5))
    tasks = [Classification("a", classes=2), Regression("b"), Regression("c")]
    seen = []
    made = trainer(name, MultiTaskModel(encoder, tasks), accumulate=2)
    encoder.register_forward_hook(lambda *arguments: seen.append(arguments[2].detach().clone()))
    made.train_step(BATCH)
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[1], seen[3])


def test_only_one_part_is_worked_on_at_a_time():
    seen = []
    made = trainer("equal", accumulate=4)
    made.model.sharing.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    made.train_step(BATCH)
    assert seen == [6, 6, 6, 5]


@pytest.mark.parametrize("balancer", ["equal", "uncertainty", "pcgrad", "graddrop"])
def test_gradients_of_tasks_are_measured_as_with_the_whole_batch(balancer):
    look = {"every": 1, "affinity": "exact"}
    whole = trainer(balancer, analysis=look).train_step(BATCH)
    parts = trainer(balancer, analysis=look, accumulate=3).train_step(BATCH)
    assert set(whole.gradient_norms) == {"a", "b", "c"}
    assert parts.gradient_norms == pytest.approx(whole.gradient_norms, rel=1e-4)
    order = [parts.measured.tasks.index(task) for task in whole.measured.tasks]
    assert whole.measured.by_group.keys() == parts.measured.by_group.keys() != set()
    for group, gramian in whole.measured.by_group.items():
        close = parts.measured.by_group[group][order][:, order]
        assert close == pytest.approx(gramian, rel=1e-3, abs=1e-6)
    assert parts.affinity[order][:, order] == pytest.approx(whole.affinity, rel=1e-2, abs=1e-6)


@pytest.mark.parametrize(
    ("balancer", "reason"),
    [
        ({"type": "meta"}, "tries steps on whole batches"),
        ({"type": "gradient_ratio"}, "penalises norms"),
        ({"type": "gradnorm"}, "last shared layer"),
        ({"type": "upgrad", "at": "representation"}, "at the representation"),
        ({"type": "upgrad", "memory": "low"}, "memory: low"),
        ({"type": "upgrad", "gramian": "layers"}, "gramian: layers"),
    ],
)
def test_what_cannot_be_exact_is_refused_with_the_reason(balancer, reason):
    with pytest.raises(InputError, match=f"{reason}.*; remove accumulate"):
        trainer(balancer, accumulate=2)


def test_a_loss_that_compares_rows_is_refused():
    class Ranked(Regression):
        additive = False

    model = MultiTaskModel(nn.Linear(5, 4), [Ranked("a"), Regression("b")])
    with pytest.raises(InputError, match="task 'a', whose loss compares the rows of a batch"):
        trainer(model=model, accumulate=2)
