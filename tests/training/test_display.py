"""What `fit(verbose=True)` and `train_epoch(verbose=True)` show."""

import pytest
import torch
from torch import nn

from motet import MultiTaskModel, Trainer, tasks
from motet.figures import figure
from motet.live import Progress, Table
from motet.problems import InputError
from motet.training.display import LiveProgress

X = torch.randn(32, 3, generator=torch.Generator().manual_seed(0))


def trainer(count=2, **options):
    names = [f"task_{number}" for number in range(count)]
    data = (X, dict.fromkeys(names, X[:, 0]))
    model = MultiTaskModel(nn.Linear(3, 4), [tasks.Regression(name) for name in names])
    return Trainer(model, batch_size=8, **options), data


def test_a_line_for_each_evaluation_and_nothing_unless_asked(capsys):
    made, data = trainer()
    made.fit(data, validation=data, epochs=2)
    assert capsys.readouterr().out == ""
    made, data = trainer()
    history = made.fit(data, validation=data, epochs=2, verbose=True)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("epoch 1/2  score ")
    assert f"task_1 r2 {figure(history.curve('task_1', 'r2')[1])}" in second


def test_without_validation_the_lines_have_losses(capsys):
    made, data = trainer()
    made.fit(data, epochs=2, verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    losses = made.train_epoch(data, verbose=True)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("epoch 3/3  task_0 loss ")
    assert set(losses) == {"task_0", "task_1"}


def test_a_display_gets_the_share_that_is_done_and_a_table_of_many_tasks():
    lines = []
    made, data = trainer(8, observers=[LiveProgress(lines.append, 2)])
    made.fit(data, validation=data, epochs=2)
    done = [(line.done, line.total) for line in lines if isinstance(line, Progress)]
    assert done == [(1, 2), (2, 2)]
    tables = [line for line in lines if isinstance(line, Table)]
    assert len(tables) == 2
    assert [row[0] for row in tables[-1].rows] == ["task", *made.model.tasks.names]
    best = [record for record in made.history.records if record.get("best")][-1]
    assert tables[-1].rows[1][3] == figure(best["tasks"]["task_0"]["r2"])


def test_many_tasks_are_summarised_in_a_line(capsys):
    made, data = trainer(8)
    made.fit(data, validation=data, epochs=1, verbose=True)
    assert capsys.readouterr().out.rstrip().endswith("and 2 more")


@pytest.mark.parametrize("verbose", ["no", 1])
def test_verbose_is_true_or_false(verbose):
    made, data = trainer()
    with pytest.raises(InputError, match=rf"verbose: found '?{verbose}'?; expected True or False"):
        made.fit(data, epochs=1, verbose=verbose)
    with pytest.raises(InputError, match="expected True or False"):
        made.train_epoch(data, verbose=verbose)
