"""`History.plot`: what it shows, and what it refuses."""

import pytest

from motet.problems import InputError
from motet.training import History

RECORDS = [
    {"epoch": epoch, "split": split, "tasks": {"a": values, "b": {"loss": 2.0 / epoch}}}
    for epoch in (1, 2, 3)
    for split, values in (
        ("train", {"loss": 1.0 / epoch, "weight": 1.0}),
        ("validation", {"accuracy": 0.5 + epoch / 10, "loss": 1.0 / epoch, "count": 9}),
    )
]


def test_a_plot_has_the_loss_and_the_first_metric_of_each_task():
    figure = History(RECORDS).plot()
    titles = [each.text for each in figure.layout.annotations]
    assert titles == ["loss", "accuracy"]
    (accuracy,) = [trace for trace in figure.data if trace.yaxis == "y2"]
    assert accuracy.name == "a, validation"
    assert list(accuracy.x) == [1, 2, 3]
    assert list(accuracy.y) == pytest.approx([0.6, 0.7, 0.8])


def test_tasks_and_metrics_can_be_chosen():
    figure = History(RECORDS).plot(tasks=["a"], metrics=["weight"])
    assert [trace.name for trace in figure.data] == ["a, train"]


def test_each_task_and_split_is_in_the_legend_once():
    figure = History(RECORDS).plot()
    shown = [trace.name for trace in figure.data if trace.showlegend]
    assert sorted(shown) == sorted(set(shown))
    assert len(shown) == 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tasks": ["c"]}, "no epoch has the task 'c'"),
        ({"metrics": ["acuracy"]}, "did you mean 'accuracy'"),
        ({"tasks": []}, "tasks: found none"),
    ],
)
def test_what_no_epoch_has_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        History(RECORDS).plot(**given)


def test_a_history_without_epochs_cannot_be_plotted():
    with pytest.raises(InputError, match="there is no epoch"):
        History().plot()
