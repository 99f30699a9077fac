"""Registered members that lack something, or return something else, are one clear error each."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

import motet
from motet.data.inputs.base import Input
from motet.data.inputs.shapes import BranchShape, NumberColumn, TableShape
from motet.data.notes import Notes
from motet.data.sources import Source
from motet.data.targets import Target
from motet.encoders import Encoder, Fusion
from motet.problems import InputError
from motet.registry import KINDS, register
from motet.tasks import Auxiliary, Prediction, Task
from motet.tasks.kinds import LabelKind

ROWS = 40
DATA = {
    "a": np.arange(ROWS, dtype=float),
    "t": ["red green", "blue"] * (ROWS // 2),
    "b": np.arange(ROWS, dtype=float) % 7,
    "y": np.arange(ROWS, dtype=float) % 5,
}


@pytest.fixture(autouse=True)
def unregistered():
    """Forget what a test registers."""
    before = {kind: dict(table._places) for kind, table in KINDS.items()}
    yield
    for kind, table in KINDS.items():
        for name in table._places.keys() - before[kind].keys():
            if name in table._places:
                del table._places[name]
        table.version += 1


def train(tmp_path, *members, rows=DATA, **config):
    for kind, member in members:
        register(kind, "mine", member)
    base = {
        "inputs": {"a": "number"},
        "tasks": {"y": "regression"},
        "training": {"epochs": 1, "batch_size": 16},
    }
    return motet.train(base | config, rows, output=tmp_path / "run", say=lambda line: None)


def changed(base, **attributes):
    return type("Changed", (base,), attributes)


# Registering ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    ["auxiliary", "balancer", "fusion", "input", "label", "scheduler", "sharing", "source", "task"],
)
@pytest.mark.parametrize("member", [nn.Linear, nn.Linear(1, 1), lambda name: name])
def test_a_member_of_another_kind_is_rejected_when_it_is_registered(kind, member):
    with pytest.raises(InputError, match=r"'mine': found .*; expected a subclass of motet"):
        register(kind, "mine", member)
    assert "mine" not in KINDS[kind]


def test_a_made_balancer_in_place_of_its_class_is_called_an_instance():
    made = motet.balancing.create("equal", ["a"])
    with pytest.raises(InputError, match="found an instance of Equal; expected a subclass of"):
        register("balancer", "mine", made)


def test_a_metric_or_loss_must_be_callable():
    with pytest.raises(InputError, match="found an instance of int; expected a callable"):
        register("metric", "mine", 3)


def test_the_methods_that_a_member_lacks_are_named_when_it_is_registered():
    class Half(Input):
        def columns(self, available):
            return ("a",)

    with pytest.raises(
        InputError, match=r"the class .*Half does not define apply, load, shape, st"
    ):
        register("input", "mine", Half)


def test_an_auxiliary_task_is_no_task_with_labels():
    with pytest.raises(InputError, match=r"motet.register\('auxiliary', 'mine', ...\)"):
        register("task", "mine", Rows)
    with pytest.raises(InputError, match="3 cannot name an input"):
        register("input", 3, Plain)


# Inputs --------------------------------------------------------------------------------------


class Plain(Input):
    def __init__(self, name):
        self.name = name

    def columns(self, available):
        return (self.name,)

    def apply(self, rows):
        numbers = np.asarray(rows[self.name].to_numpy(), np.float32)
        return {"numbers": numbers[:, None]}, Notes(len(rows))

    def shape(self):
        return TableShape((NumberColumn(self.name),))

    def state(self):
        return {}

    def load(self, state):
        pass


def returning(tree, notes=Notes(ROWS)):  # noqa: B008  # frozen
    return {"apply": lambda self, rows: (tree, notes)}


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"apply": lambda self, rows: {"numbers": 1}}, r"apply\(rows\) returned dict; expected ar"),
        ({"apply": lambda self, rows: None}, "returned NoneType; expected arrays and notes"),
        (returning({}, None), "returned dict, NoneType; expected arrays and notes"),
        (returning({}), r"returned \{\} for 40 rows; expected .*\{'numbers': \(40, 1\)\}"),
        (returning({"numbers": np.zeros(ROWS)}), r"returned \{'numbers': \(40,\)\} for 40"),
        (returning({"numbers": np.zeros((3, 1))}), r"returned \{'numbers': \(3, 1\)\} for 40"),
        (returning({"numbers": np.zeros((ROWS, 2))}), r"returned \{'numbers': \(40, 2\)\} for"),
        (returning({"nums": np.zeros((ROWS, 1))}), r"returned \{'nums': \(40, 1\)\} for 40 rows"),
        (returning(np.zeros((ROWS, 1))), "returned ndarray for 40 rows"),
        ({"shape": lambda self: None}, r"shape\(\) returned null; expected a TableShape"),
        ({"state": lambda self: {"x": np.zeros(2)}}, r"state\(\) of mine returned what JSON cann"),
        ({"__init__": lambda self, name, other: None}, "missing a required argument: 'other'"),
    ],
)
def test_an_input_that_does_not_give_what_it_declares_is_an_error(tmp_path, attributes, message):
    with pytest.raises(InputError, match=message):
        train(tmp_path, ("input", changed(Plain, **attributes)), inputs={"a": "mine"})


class Image(Plain):
    def __init__(self, name, *, encoder="mine"):
        self.name = name

    def apply(self, rows):
        return np.zeros((len(rows), 4), np.float32), Notes(len(rows))

    def shape(self):
        return BranchShape("image")


class Reader(Encoder):
    reads = "image"

    def __init__(self):
        super().__init__()
        self.layer, self.width = nn.Linear(4, 3), 3

    def forward(self, images):
        return self.layer(images)


def without_width(self):
    super(Reader, self).__init__()


@pytest.mark.parametrize(
    ("of_input", "of_encoder", "message"),
    [
        (
            returning([[0.0] * 4] * ROWS),
            {},
            r"returned list \(40, 4\) for 40 rows; expected arrays",
        ),
        (
            returning(np.zeros((3, 4))),
            {},
            r"returned ndarray \(3, 4\) for 40 rows; expected arrays",
        ),
        (returning({"x": None}), {}, r"returned NoneType \(\) for 40 rows; expected arrays"),
        ({}, {"__init__": without_width}, "found width null; expected the number of its features"),
        ({}, {"gives": 7}, "declares gives = 7; expected a name such as 'tokens'"),
    ],
)
def test_an_input_with_an_encoder_to_itself_is_checked(tmp_path, of_input, of_encoder, message):
    members = ("input", changed(Image, **of_input)), ("encoder", changed(Reader, **of_encoder))
    with pytest.raises(InputError, match=message):
        train(tmp_path, *members, inputs={"a": "mine"})


def test_the_encoder_of_an_input_may_be_an_option_without_annotation(tmp_path):
    run = train(tmp_path, ("input", Image), ("encoder", Reader), inputs={"a": "mine"})
    assert len(motet.load(run.path).predict(DATA)) == ROWS


# Fusions -------------------------------------------------------------------------------------


class Joining(Fusion):
    def __init__(self, widths):
        super().__init__()
        self.width = sum(widths)

    def forward(self, features, present):
        return torch.cat(list(features), dim=-1)


def too_narrow(self, widths):
    super(Joining, self).__init__()
    self.width = 7


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"__init__": lambda self, widths: Fusion.__init__(self)}, "Changed has no width; set sel"),
        ({"__init__": too_narrow}, r"fusion Changed returned \(\d+, \d+\); expected .* \(\d+, 7\)"),
        (
            {"forward": lambda self, features, present: None},
            "fusion Changed returned NoneType; expected",
        ),
    ],
)
def test_a_fusion_that_does_not_give_its_width_is_an_error(tmp_path, attributes, message):
    inputs, model = {"a": "number", "t": "text"}, {"fusion": "mine"}
    member = "fusion", changed(Joining, **attributes)
    with pytest.raises(InputError, match=message):
        train(tmp_path, member, inputs=inputs, model=model)


def test_what_makes_a_fusion_must_return_one():
    with pytest.raises(InputError, match="found Linear; expected a fusion"):
        motet.MultiTaskModel(
            encoders={"a": nn.Linear(2, 3), "b": nn.Linear(2, 3)},
            fusion=lambda widths: nn.Linear(sum(widths), 4),
            tasks=[motet.tasks.Regression("y")],
        )


# Sources -------------------------------------------------------------------------------------


@pytest.mark.parametrize("found", [None, DATA])
def test_a_source_must_return_a_table(tmp_path, found):
    class Mine(Source):
        def read(self, strings=()):
            return found

    register("source", "mine", Mine)
    with pytest.raises(
        InputError, match=r"returned .*; expected a pyarrow.Table, such as .*as_tabl"
    ):
        train(tmp_path, rows=None, data={"sources": {"main": {"type": "mine"}}})


# Labels and tasks ----------------------------------------------------------------------------


def error(predictions, targets):
    return float(np.abs(predictions - targets).mean())


error.best = 0.0


class Kind(LabelKind):
    name = "mine"
    default_metrics = (error,)
    flat = True

    def trivial(self, labels, metric, restore):
        return Prediction(torch.zeros(1))


class Column(Target):
    def encode(self, table, inputs=None):
        return table[self.column].to_numpy().astype(np.float32)

    def predictions(self, value, *_):
        return {self.name: pa.array(value)}


class Simple(Task):
    kind, labels = "mine", Kind()

    def loss(self, raw, target):
        return self.add_up(nn.functional.mse_loss, raw, target)

    def decode(self, raw):
        return Prediction(raw.double())


def test_a_label_of_ones_own_trains(tmp_path):
    members = ("label", Column), ("task", Simple)
    run = train(tmp_path, *members, tasks={"y": "mine", "b": "regression"})
    assert motet.load(run.path).predict(DATA)["y"].type == pa.float64()


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (
            {"encode": lambda *_: None},
            r"encode\(table\) returned NoneType for 40 rows; expected an",
        ),
        ({"encode": lambda *_: np.zeros(3)}, r"encode\(table\) returned float64 \(3,\) for 40 row"),
        ({"encode": lambda *_: np.array(["x"] * ROWS)}, r"returned <U1 \(40,\) for 40 rows"),
        ({"predictions": lambda *_: None}, r"predictions\(value\) returned NoneType; expected col"),
        ({"predictions": lambda *_: {"y": pa.array([1])}}, r"returned Int64Array \(1\) as column"),
        ({"predictions": lambda self, value, *_: {"b": pa.array(value)}}, "a column 'b'; expected"),
        ({"state": lambda self: {"x": np.zeros(2)}}, "task 'y': state.* returned what JSON cannot"),
    ],
)
def test_a_target_that_returns_something_else_is_an_error(tmp_path, attributes, message):
    members = ("label", changed(Column, **attributes)), ("task", Simple)
    with pytest.raises(InputError, match=message):
        train(tmp_path, *members, tasks={"y": "mine", "b": "regression"})


def test_a_kind_of_label_needs_a_target(tmp_path):
    with pytest.raises(InputError, match=r"no target of that name .* motet.register\('label', 'mi"):
        train(tmp_path, ("task", Simple), tasks={"y": "mine"})


@pytest.mark.parametrize("labels", [LabelKind(), LabelKind, "numbr", ["number"], 3])
def test_labels_must_be_a_kind_with_a_name_or_the_name_of_one(labels):
    with pytest.raises(InputError, match=r"labels: found .*(without a name|expected a LabelKind)"):
        changed(Simple, labels=labels)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"loss": lambda self, raw, target: (raw - target).mean()}, r"returned a tensor \(\) of"),
        ({"loss": lambda self, raw, target: None}, r"returned None, expected \(sum, count\)"),
        ({"loss": lambda self, raw, target: (raw.sum(), 3)}, r", int\), expected \(sum, count\)"),
        ({"decode": lambda self, raw: raw}, r"decode\(raw\) returned Tensor \(\d+,\); expected"),
        ({"decode": lambda self, raw: None}, r"decode\(raw\) returned NoneType; expected motet"),
        (
            {"decode": lambda self, raw: Prediction(raw.mean())},
            r"decode\(raw\) returned Tensor, No",
        ),
        ({"decode": lambda self, raw: Prediction(raw.numpy())}, r"decode\(raw\) returned ndarray"),
        ({"trivial": lambda self, labels, metric: 3.0}, r"trivial\(labels, metric\) returned flo"),
        (
            {"labels": changed(Kind, default_metrics=())()},
            "has no metrics; give metrics, or define",
        ),
    ],
)
def test_a_task_that_returns_something_else_is_an_error(tmp_path, attributes, message):
    members = ("label", Column), ("task", changed(Simple, **attributes))
    with pytest.raises(InputError, match=message):
        train(tmp_path, *members, tasks={"y": "mine"})


def test_a_loss_class_that_needs_arguments_is_an_error(tmp_path):
    member = "loss", nn.Linear
    with pytest.raises(InputError, match=r"loss 'mine': .*; expected a function"):
        train(tmp_path, member, tasks={"y": {"type": "regression", "loss": "mine"}})


# Auxiliary tasks -----------------------------------------------------------------------------


class Rows(Auxiliary):
    kind = "mine"

    def view(self, inputs, generator):
        return inputs, inputs["numbers"][:, 0]

    def loss(self, raw, target):
        return self.add_up(nn.functional.mse_loss, raw, target)


def test_the_target_of_a_view_has_its_rows(tmp_path):
    def view(self, inputs, generator):
        return inputs, inputs["numbers"][:3, 0]

    member = "auxiliary", changed(Rows, view=view)
    with pytest.raises(InputError, match=r"view of Changed: the numbers of rows differ: inputs"):
        train(tmp_path, member, tasks={"y": "regression", "x": "mine"})


def test_a_run_needs_a_task_that_is_balanced(tmp_path):
    with pytest.raises(InputError, match="only auxiliary tasks beside the balancer, x; add a task"):
        train(tmp_path, ("auxiliary", Rows), tasks={"x": "mine"})
