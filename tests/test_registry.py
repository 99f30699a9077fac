"""Names to places; a member that users register is as good as a built-in one."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

import motet
from motet.balancing import LossBalancer
from motet.config import json_schema, read
from motet.data.inputs.base import Input
from motet.data.inputs.shapes import NumberColumn, TableShape
from motet.data.notes import Notes
from motet.data.sources import Source, as_table
from motet.data.targets.base import NO_INPUTS, Target
from motet.encoders import Encoder, Fusion, create_padding_mask, token_states
from motet.options import (
    Annotated,
    Place,
    PositiveFloat,
    PositiveInt,
    TaskOptions,
    Unpack,
    checked,
    read_options,
)
from motet.problems import InputError
from motet.registry import KINDS, register
from motet.scheduling import Scheduler
from motet.sharing import SharedModule, Sharing
from motet.tasks import Auxiliary, Prediction, Task
from motet.tasks.kinds import LabelKind

# Names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_built_in_name_leads_to_a_member(kind):
    assert all(callable(KINDS[kind][name]) for name in KINDS[kind])


def test_an_unknown_name_lists_the_nearest_or_all():
    balancers = KINDS["balancer"]
    with pytest.raises(InputError, match="no balancer is named 'equall'; did you mean 'equal'"):
        balancers["equall"]
    with pytest.raises(InputError, match="no sharing scheme is named 'qqq'; known: hard"):
        KINDS["sharing"].known("qqq")
    with pytest.raises(InputError, match="no kind is named 'balancers'; did you mean 'balancer'"):
        register("balancers", "mine", nn.Identity)


def test_a_taken_name_is_refused_and_stays_what_it_was():
    before = KINDS["balancer"]["equal"]
    for member in (nn.Identity, before):
        with pytest.raises(InputError, match="'equal' is taken; choose another"):
            register("balancer", "equal", member)
    assert KINDS["balancer"]["equal"] is before
    register("loss", "mine", nn.L1Loss)
    with pytest.raises(InputError, match="'mine' is taken"):
        register("loss", "mine", nn.MSELoss)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "1a", "a-b"])
def test_a_name_must_be_usable_in_a_config(name):
    with pytest.raises(InputError, match="use letters, digits and _"):
        register("loss", name, nn.L1Loss)


def test_a_name_registered_later_is_known_to_configs_at_once():
    config = {"tasks": {"a": {"type": "regression"}}, "balancing": {"type": "worst", "power": 2.0}}
    with pytest.raises(InputError, match="expected a balancer"):
        read(config)
    register("balancer", "worst", Worst)
    assert read(config)[0].balancing.options() == {"power": 2.0}
    with pytest.raises(InputError, match="did you mean 'power'"):
        read({**config, "balancing": {"type": "worst", "powr": 2.0}})
    with pytest.raises(InputError, match="expected a number > 0"):
        read({**config, "balancing": {"type": "worst", "power": -2.0}})
    with pytest.raises(InputError, match="did you mean 'worst'"):
        read({**config, "balancing": "wurst"})


def test_a_member_that_another_holds_is_known_at_once_too():
    config = {"tasks": {"a": {"type": "regression", "head": {"type": "waist", "waist": 3}}}}
    with pytest.raises(InputError, match="known: mlp"):
        read(config)
    register("head", "waist", narrow)
    assert read(config)[0].tasks["a"].options()["head"]["waist"] == 3
    json_schema()


def test_options_of_a_registered_member_are_its_keyword_only_arguments():
    register("balancer", "worst", Worst)
    (option,) = read_options(KINDS["balancer"], "worst")
    assert (option.name, option.default) == ("power", 1.0)
    assert option.description == "How strongly."


# A member of each kind in a run --------------------------------------------------------------


class Worst(LossBalancer):
    """Weigh tasks by their loss.

    Args:
        tasks: Names of the tasks.
        power: How strongly.
    """

    @checked
    def __init__(self, tasks: tuple[str, ...], *, power: PositiveFloat = 1.0) -> None:
        super().__init__(tasks)
        self.power = power

    def forward(self, losses, present):
        return (losses ** (1 + self.power)).sum()


class Twice(Sharing):
    """Every representation, twice as wide."""

    def build(self, stages, tasks, width):
        return _Twice(nn.Sequential(*stages), 2 * width)


class _Twice(SharedModule):
    def __init__(self, encoder, width):
        super().__init__()
        self.encoder, self.width = encoder, width

    def forward(self, inputs, tasks):
        return dict.fromkeys(tasks, self.encoder(inputs).repeat(1, 2))

    def task_parameters(self, task):
        yield from ()


class Visits(Task):
    """Counts, by the Poisson likelihood."""

    kind = "visits"
    labels = "number"

    def __init__(
        self, name: str, *, floor: PositiveFloat = 1e-3, **common: Unpack[TaskOptions]
    ) -> None:
        super().__init__(name, **common)
        self.floor = floor

    def loss(self, raw, target):
        return self.add_up(lambda raw, target: raw.exp() - target * raw, raw, target)

    def decode(self, raw):
        return Prediction(raw.double().exp().clamp(min=self.floor), None)


class Tiny(nn.Module):
    """One layer over the numbers alone."""

    def __init__(self, numbers: int, categories: object, *, units: PositiveInt = 3) -> None:
        super().__init__()
        self.layer, self.width = nn.Linear(numbers, units), units

    def forward(self, inputs):
        return self.layer(inputs["numbers"]).tanh()


class Length(Input):
    """Letters of a text."""

    def __init__(self, name: str, *, column: str | None = None) -> None:
        self.name, self._column = name, column or name

    def columns(self, available):
        return (self._column,)

    def observe(self, rows):
        self._unit = max(len(text or "") for text in rows[self._column].to_pylist())

    def apply(self, rows):
        letters = [len(text or "") / self._unit for text in rows[self._column].to_pylist()]
        return {"numbers": np.array(letters, np.float32)[:, None]}, Notes(len(rows))

    def shape(self):
        return TableShape((NumberColumn(self.name),))

    def state(self):
        return {"column": self._column, "unit": self._unit}

    def load(self, state):
        self._column, self._unit = state["column"], state["unit"]


class Thousands(Target):
    """Numbers, in thousands."""

    def encode(self, table, inputs=NO_INPUTS):
        return table[self.column].to_numpy().astype(np.float32) / 1000

    def learned(self):
        return {"unit": 1000}

    def predictions(self, value, probabilities=None, table=None, inputs=NO_INPUTS):
        return {self.name: pa.array(value * 1000)}


def mean_error(predictions, targets):
    """Mean error."""
    return abs(predictions - targets).mean()


mean_error.best = 0.0


class InThousands(LabelKind):
    """What `Thousands` makes."""

    name = "mine"
    default_metrics = (mean_error,)
    flat = True

    def trivial(self, labels, metric, restore):
        return Prediction(restore(labels.sample.rows).mean(dim=0, keepdim=True))


class Turnover(Visits):
    """Counts of thousands."""

    kind = "turnover"
    labels = InThousands()

    def __init__(self, name: str, *, unit: int = 1, **common: Unpack[TaskOptions]) -> None:
        super().__init__(name, **common)
        self.unit = unit


class Table(Source):
    """A file of one table, whose path is relative to the config.

    Args:
        path: The file.
    """

    def __init__(self, *, path: Annotated[str, Place()]) -> None:
        self._path = path

    def read(self, strings=()):
        return as_table(pq.read_table(self._path), strings)


def narrow(width: int, outputs: int, *, waist: PositiveInt = 2) -> nn.Module:
    """Two layers with a waist."""
    return nn.Sequential(nn.Linear(width, waist), nn.Linear(waist, outputs))


def quartic(raw, target):
    """Fourth power of the residual."""
    return (raw - target) ** 4


def worst_error(predictions, targets):
    """Largest error."""
    return abs(predictions - targets).max()


class Mean(Auxiliary):
    """The mean of the numbers, from half of them."""

    def view(self, inputs, generator):
        cells = inputs["numbers"]
        kept = torch.rand(cells.shape, generator=generator) < 0.5
        return {**inputs, "numbers": cells * kept}, cells.mean(dim=1)

    def loss(self, raw, target):
        return self.add_up(nn.functional.l1_loss, raw, target)


class LastTask(Scheduler):
    """The last task alone, every few steps."""

    def __init__(self, tasks: tuple[str, ...], *, every: PositiveInt = 2) -> None:
        super().__init__(tasks)
        self.every = every

    def tasks_for(self, step, tasks):
        return tasks if step % self.every else tasks[-1:]


def plain_sgd(groups, *, learning_rate: PositiveFloat = 0.5):
    """Plain gradient descent."""
    return torch.optim.SGD(groups, lr=learning_rate)


def halving(total: int, *, start: PositiveFloat = 1.0):
    """Half as much at every step."""
    return lambda step: start * 0.5**step


class Summed(Fusion):
    """The sum of projections to one size.

    Args:
        widths: The width of each encoder's features.
        size: Width of the sum.
    """

    @checked
    def __init__(self, widths, *, size: PositiveInt = 4) -> None:
        super().__init__()
        self.maps, self.width = nn.ModuleList(nn.Linear(width, size) for width in widths), size

    def forward(self, features, present):
        return sum(layer(each) for layer, each in zip(self.maps, features, strict=True))


TEXT = {"type": "text", "tokenizer": "words", "encoder": {"type": "lstm", "width": 4}}

MINE = {
    "balancer": (Worst, {"balancing": {"type": "mine", "power": 2.0}}),
    "sharing": (Twice, {"model": {"sharing": "mine", "encoder": {"hidden": [4]}}}),
    "task": (Visits, {"tasks": {"visits": {"type": "mine", "floor": 0.5, "weight": 2.0}}}),
    "label": (Thousands, {"tasks": {"spend": {"type": "turnover"}}}),
    "head": (narrow, {"tasks": {"spend": {"type": "regression", "head": {"type": "mine"}}}}),
    "loss": (quartic, {"tasks": {"spend": {"type": "regression", "loss": "mine"}}}),
    "metric": (
        worst_error,
        {"tasks": {"spend": {"type": "regression", "metrics": ["r2", "mine"]}}},
    ),
    "input": (Length, {"inputs": {"age": "number", "name": {"type": "mine", "column": "city"}}}),
    "encoder": (Tiny, {"model": {"encoder": {"type": "mine", "units": 5}}}),
    "auxiliary": (Mean, {"tasks": {"spend": {"type": "regression"}, "half": {"type": "mine"}}}),
    "fusion": (
        Summed,
        {
            "inputs": {"age": "number", "city": TEXT},
            "model": {"fusion": {"type": "mine", "size": 3}},
        },
    ),
    "scheduler": (LastTask, {"scheduling": {"type": "mine", "every": 3}}),
    "optimizer": (plain_sgd, {"training": {"optimizer": {"type": "mine", "learning_rate": 0.25}}}),
    "lr_schedule": (halving, {"training": {"lr_schedule": {"type": "mine", "start": 0.5}}}),
    "source": (Table, {"data": {"sources": {"main": {"type": "mine", "path": "mine.parquet"}}}}),
    "dataset": (None, {"data": {"source": "motet://mine"}}),
}


def test_there_is_an_example_of_every_kind():
    assert set(MINE) == set(KINDS)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_registered_member_is_used_by_a_run_from_its_name_alone(
    kind, people, tmp_path, monkeypatch
):
    if kind == "fusion":
        pytest.importorskip("tokenizers")
    member, change = MINE[kind]
    visits = np.arange(len(people), dtype=float) % 7
    table = people.append_column("visits", pa.array(visits))
    monkeypatch.chdir(tmp_path)
    if kind in ("dataset", "source"):
        pq.write_table(table, tmp_path / "mine.parquet")
    if kind == "dataset":
        member = lambda: tmp_path / "mine.parquet"  # noqa: E731  # a data set needs no docstring
    register(kind, "mine", member)
    if kind == "label":
        register("task", "turnover", Turnover)
    training = {"epochs": 1, "batch_size": 64, **change.get("training", {})}
    config = {"tasks": {"spend": {"type": "regression"}}, **change, "training": training}
    data = None if kind in ("dataset", "source") else table
    run = motet.train(config, data=data, output=tmp_path / "run")
    predicted = run.predict(table)
    assert all(np.isfinite(column.to_numpy()).all() for column in predicted.columns)
    assert motet.load(tmp_path / "run").predict(table) == predicted
    _look(kind, run, predicted)


def test_an_input_of_your_own_serves_a_model_without_data_once_it_declares_its_columns():
    class Declaring(Length):
        def declared(self):
            return self.shape()

    register("input", "mine", Length)
    register("input", "declaring", Declaring)
    sections = {"tasks": {"spend": "regression"}}
    with pytest.raises(InputError, match=r"inputs\.name: .*define declared\(\) in Length"):
        motet.MultiTaskModel.from_config({"inputs": {"name": "mine"}, **sections})
    model = motet.MultiTaskModel.from_config({"inputs": {"name": "declaring"}, **sections})
    assert model({"numbers": torch.zeros(3, 1)})["spend"].shape == (3,)


class Bag(Encoder):
    """The mean of the tokens' vectors.

    Args:
        vocabulary: How many tokens there are.
        segments: How many parts a text has.
        size: Width of the vectors.
    """

    reads = "text"

    @checked
    def __init__(self, vocabulary: int, segments: int = 1, *, size: PositiveInt = 3) -> None:
        super().__init__()
        self.vectors, self.width = nn.Embedding(vocabulary, size), size

    def forward(self, text):
        ids = text["ids"]
        return token_states(self.vectors(ids), create_padding_mask(ids), text)


YAML = """
inputs:
  age: number
  note: {type: text, tokenizer: words, encoder: {type: own_bag, size: 7}}
tasks: {spend: regression, tags: {type: sequence_labelling, input: note}}
model: {encoder: {type: tiny, units: 5}}
training: {epochs: 1, batch_size: 16, freeze: ["*.encoders.0"]}
"""


def test_encoders_of_your_own_for_tables_and_texts_serve_a_run_from_a_file(tmp_path):
    pytest.importorskip("tokenizers")
    register("encoder", "tiny", Tiny)
    register("encoder", "own_bag", Bag)
    words = [["good", "shoes"], ["a", "bad", "hat"]] * 30
    tags = [["O", "B-thing"], ["O", "O", "B-thing"]] * 30
    rows = pa.table({"age": range(60), "note": words, "spend": [1.0, 2.5] * 30, "tags": tags})
    (tmp_path / "config.yaml").write_text(YAML)
    run = motet.train(tmp_path / "config.yaml", rows, output=tmp_path / "run")
    bag = next(module for module in run.model.modules() if isinstance(module, Bag))
    assert bag.frozen
    assert run.model.sharing.width == 5 + 7
    assert motet.load(tmp_path / "run").predict(rows).equals(run.predict(rows))
    (tmp_path / "config.yaml").write_text(YAML.replace("size: 7", "sise: 7"))
    with pytest.raises(InputError, match=r"sise.*did you mean 'size'"):
        motet.train(tmp_path / "config.yaml", rows, output=tmp_path / "other")


def test_an_encoder_of_your_own_is_refused_where_it_reads_something_else(people, tmp_path):
    register("encoder", "own_bag", Bag)
    config = {"model": {"encoder": "own_bag"}, "tasks": {"spend": "regression"}}
    with pytest.raises(
        InputError, match="bag is not an encoder of numbers, categories and vectors"
    ):
        motet.train(config, data=people, output=tmp_path / "run")


def _look(kind, run, predicted):
    """See the member at work."""
    records = run.history.records
    if kind == "task":
        assert (predicted["visits"].to_numpy() >= 0.5).all()
        assert run.model.tasks["visits"].weight == 2.0
    elif kind == "sharing":
        assert run.model.heads["spend"].head.layers[-1].in_features == 8
    elif kind == "label":
        assert run.model.tasks["spend"].unit == 1000
        assert predicted["spend"].to_numpy().min() > 1
    elif kind == "head":
        assert len(list(run.model.heads["spend"].parameters())) == 4
    elif kind == "loss":
        assert run.model.tasks["spend"].loss_function is quartic
    elif kind == "metric":
        assert records[-1]["tasks"]["spend"]["mine"] > 0
    elif kind == "encoder":
        assert run.model.sharing.width == 5
    elif kind == "fusion":
        assert run.model.sharing.width == 3
    elif kind == "input":
        assert list(run.config.inputs) == ["age", "name"]
    elif kind == "optimizer":
        assert records[0]["learning_rate"] <= 0.25
        assert records[0]["learning_rate"] > 0.001
    elif kind == "lr_schedule":
        last = records[-1]["step"] - 1
        assert records[-1]["learning_rate"] == pytest.approx(3e-3 * 0.5 * 0.5**last)
