"""Each step has the same number of labelled rows of every task; rows of rare tasks are cycled."""

from collections import Counter

import pytest
import torch
from torch import nn

import motet
from motet.data.arrays import ArrayData
from motet.data.own_rows import OwnRows
from motet.data.ragged import Ragged
from motet.problems import InputError
from motet.tasks import Classification, Regression
from motet.training import Trainer

N = 60
ROWS = torch.arange(N)
LABELLED = {"common": ROWS[:50], "rare": torch.cat([ROWS[45:50], ROWS[55:]])}  # five rows have both


def data(inputs=None):
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(N, 4, generator=draw) if inputs is None else inputs
    y = torch.full((N,), torch.nan)
    y[LABELLED["rare"]] = torch.randn(10, generator=draw)
    classes = torch.full((N,), -100)
    classes[:50] = ROWS[:50] % 3
    return x, {"common": classes, "rare": y}


def own_rows(size, inputs=None):
    return OwnRows(ArrayData(*data(inputs)), LABELLED, size)


@pytest.mark.parametrize("size", [2, 8, 9, 30, 200])
@pytest.mark.parametrize("ragged", [False, True])
def test_an_epoch_has_every_row_of_the_largest_task_once_and_cycles_the_others(size, ragged):
    lengths = [[1] * (1 + row % 7) for row in range(N)]
    own = own_rows(size, Ragged.of(lengths, fill=0) if ragged else None)
    batches = [batch.rows.tolist() for batch in own.epoch(seed=3, number=0)]
    assert len(batches) == own.batches == 2 * own.steps
    for common, rare in zip(batches[::2], batches[1::2], strict=True):
        assert len(common) == len(rare) <= size // 2
    common, rare = (Counter(r for rows in batches[place::2] for r in rows) for place in (0, 1))
    assert common == Counter(LABELLED["common"].tolist())
    assert set(rare) == set(LABELLED["rare"].tolist())
    assert set(rare.values()) == {5}
    assert own.ratios() == {"common": 1.0, "rare": 5.0}


def test_rows_of_rare_tasks_have_a_new_order_in_each_pass_and_none_is_used_twice_before_all():
    flat = [
        r for batch in list(own_rows(8).epoch(seed=0, number=0))[1::2] for r in batch.rows.tolist()
    ]
    passes = [flat[start : start + 10] for start in range(0, 50, 10)]
    assert all(sorted(each) == sorted(LABELLED["rare"].tolist()) for each in passes)
    assert len(set(map(tuple, passes))) == 5


def test_an_epoch_resumes_at_any_step():
    whole = [batch.rows.tolist() for batch in own_rows(8).epoch(seed=0, number=2)]
    for done in (2, 10, 24):
        rest = [b.rows.tolist() for b in own_rows(8).epoch(seed=0, number=2, done=done)]
        assert rest == whole[done:]
    other = [batch.rows.tolist() for batch in own_rows(8).epoch(seed=0, number=3)]
    assert other != whole


def made():
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(4, 8), nn.Tanh())
    return motet.MultiTaskModel(encoder, [Classification("common", classes=3), Regression("rare")])


@pytest.mark.parametrize("balancer", ["equal", "uncertainty", "pcgrad", "gradnorm", "moco"])
def test_training_counts_the_rows_and_resumes_bit_for_bit(balancer):
    states = []

    def new():
        return Trainer(
            made(), balancer, scheduling="task_balanced", batch_size=8, checkpoint_every=3
        )

    whole = new()
    whole.on_checkpoint = lambda _: states.append(whole.state())
    history = whole.fit(data(), epochs=2)
    assert whole.step == 2 * 13
    assert history.records[0]["scheduled"] == {
        "common": {"steps": 13, "rows": 50},
        "rare": {"steps": 13, "rows": 50},
    }
    for state in states[1:-1:3]:
        resumed = new()
        resumed.load_state(state)
        resumed.fit(data(), epochs=2)
        for ours, theirs in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
            assert ours.equal(theirs)


def test_a_task_trains_on_its_own_rows_alone():
    ours, seen = Trainer(made(), scheduling="task_balanced", batch_size=8), []
    loss = ours.model.tasks["common"].loss

    def note(raw, target, *more, **options):
        seen.append(target)
        return loss(raw, target, *more, **options)

    ours.model.tasks["common"].loss = note
    ours.train_epoch(data())
    assert all(bool((target != -100).all()) for target in seen)
    assert sum(map(len, seen)) == 50


def test_what_does_not_fit_is_explained():
    with pytest.raises(InputError, match="batch_size: found 1; expected at least 2, as each task"):
        Trainer(made(), scheduling="task_balanced", batch_size=1).fit(data(), epochs=1)
    loader = [{"inputs": data()[0], "targets": data()[1]}]
    with pytest.raises(InputError, match="can of arrays alone; found LoaderData; give arrays"):
        Trainer(made(), scheduling="task_balanced").fit(loader, epochs=1)


def test_batch_norm_is_refused_as_each_task_has_rows_of_its_own():
    encoder = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6))
    tasks = [Classification("common", classes=3), Regression("rare")]
    model = motet.MultiTaskModel(encoder, tasks)
    trainer = Trainer(model, scheduling="task_balanced", batch_size=8)
    with pytest.raises(InputError, match=r"found BatchNorm .* and TaskBalanced: .* of each task"):
        trainer.fit(data(), data(), epochs=1)
