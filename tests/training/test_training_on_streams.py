"""Training on rows on disk: as on rows in memory, and exactly resumed."""

import json

import numpy as np
import pytest
import torch
from gloo import in_processes
from quick_cases import others_slow
from torch import distributed, nn

import motet
from motet.data import Sources
from motet.data.blocks import Blocks, Writer
from motet.data.stream import StreamData
from motet.problems import InputError
from motet.tasks import Classification, Ranking, Regression
from motet.training import Interrupted


def arrays(rows, seed=0):
    draws = np.random.default_rng(seed)
    x = draws.normal(size=(rows, 3)).astype(np.float32)
    spend = (x @ [1, 2, 0] + draws.normal(size=rows) * 0.1).astype(np.float32)
    kind = (x[:, 2] > 0).astype(np.int64)
    kind[::5] = -100
    return x, {"spend": spend, "kind": kind}


def stream(path, rows):
    writer = Writer(path / f"{rows}", rows=32)
    inputs, targets = arrays(rows)
    writer.add({"inputs": inputs, "targets": targets}, rows)
    blocks = writer.finish()
    (path / f"{rows}.json").write_text(json.dumps(blocks.state()))
    return opened(path, rows)


def opened(path, rows, **options):
    blocks = Blocks.of(path / f"{rows}", json.loads((path / f"{rows}.json").read_text()))
    return StreamData(blocks, buffer=300, **options)


def trainer(**options):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.2))
    tasks = [Classification("kind", classes=2), Regression("spend")]
    model = motet.MultiTaskModel(encoder, tasks, width=8)
    return motet.Trainer(model, batch_size=32, seed=3, learning_rate=0.01, **options)


def test_training_learns_and_evaluates_as_in_memory(tmp_path):
    made = trainer()
    valid = arrays(200, 1)
    made.fit(stream(tmp_path, 2000), stream(tmp_path, 300), epochs=3)
    report = made.evaluate(valid)
    assert report["kind"]["auroc"] > 0.9
    assert report["spend"]["r2"] > 0.9
    rows = stream(tmp_path, 301)
    whole = made.evaluate(arrays(301))
    found = made.evaluate(rows)
    for task in ("kind", "spend"):
        assert found[task] == pytest.approx(whole[task], abs=1e-6)
    predicted, expected = made.predict(rows), made.predict(arrays(301)[0])
    assert np.allclose(predicted["spend"], expected["spend"], atol=1e-6)


@pytest.mark.parametrize("stop", [7, 20, 31])
def test_a_resumed_run_ends_with_the_same_weights(tmp_path, stop):
    train, valid = stream(tmp_path, 900), stream(tmp_path, 100)
    whole = trainer()
    whole.fit(train, valid, epochs=2)

    first, saved = trainer(checkpoint_every=1), []

    def save(kind):
        saved[:] = [first.state()]
        first.stop_requested = first.step == stop

    first.on_checkpoint = save
    with pytest.raises(Interrupted):
        first.fit(train, valid, epochs=2)
    second = trainer()
    second.load_state(*saved[0])
    assert second.step == stop
    second.fit(train, valid, epochs=2)
    for name, parameter in whole.model.named_parameters():
        assert parameter.equal(second.model.get_parameter(name)), name


def test_streams_are_sources(tmp_path):
    inputs, targets = arrays(300)
    data = {"disk": stream(tmp_path, 500), "memory": (inputs, {"spend": targets["spend"]})}
    made = trainer()
    made.fit(Sources(data), stream(tmp_path, 100), epochs=1)
    assert made.step == 16
    assert made.history.records[0]["rows"] == {"disk": 500, "memory": 492}


def test_rows_that_are_compared_are_refused(tmp_path):
    model = motet.MultiTaskModel(nn.Linear(3, 8), [Ranking("spend"), Regression("kind")], width=8)
    with pytest.raises(InputError, match="'spend' compares rows with each other, which a stream"):
        motet.Trainer(model).fit(stream(tmp_path, 100))


def test_schedulers_that_choose_rows_are_refused(tmp_path):
    made = trainer(scheduling="task_balanced")
    with pytest.raises(InputError, match="TaskBalanced chooses the rows of each batch, which it"):
        made.fit(stream(tmp_path, 100))


@pytest.mark.parametrize("count", others_slow([2], [2, 4]))
def test_processes_train_as_one_does(tmp_path, count):
    stream(tmp_path, 500)
    stream(tmp_path, 110)

    def trained():
        own = {"rank": distributed.get_rank(), "processes": distributed.get_world_size()}
        made = trainer()
        history = made.fit(opened(tmp_path, 500, **own), opened(tmp_path, 110), epochs=2)
        return made.model.state_dict(), history.curve("kind", "auroc")

    whole, curve = in_processes(1, trained)[0]
    for found, own in in_processes(count, trained):
        assert own == pytest.approx(curve, abs=1e-4)
        for name, each in whole.items():
            assert torch.allclose(each, found[name], atol=1e-5, rtol=0), name
