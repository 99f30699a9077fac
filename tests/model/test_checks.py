"""Encoders, inputs and tasks that do not fit are explained: what was found, and what to do."""

import numpy as np
import pytest
import torch
from torch import nn

from motet import sharing
from motet.encoders import MLP
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import Classification, Regression, TaskMetrics
from motet.training import Trainer

X = torch.zeros(2, 4)
SEQUENCES = torch.zeros(2, 3, 4)


def tasks():
    return [Classification("c", classes=3), Regression("r")]


def made(encoder, scheme="hard", **options):
    return MultiTaskModel(encoder, tasks(), sharing=sharing.create(scheme), **options)


def convolutions():
    layers = (nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*layers)


class Returning(nn.Module):
    width = 4

    def __init__(self, function):
        super().__init__()
        self.function, self.layer = function, nn.Linear(4, 4)

    def forward(self, inputs):
        return self.function(self.layer(inputs))


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        (torch.zeros(2, 2), r"a tensor \(2, 2\) of float32"),
        ({"numbers": torch.zeros(2, 2)}, r"a mapping {'numbers': a tensor \(2, 2\) of float32}"),
        ({"photo": torch.zeros(2, 1).byte()}, r"a mapping {'photo': a tensor \(2, 1\) of uint8}"),
    ],
)
def test_an_input_that_an_encoder_reads_and_rows_lack_is_named(inputs, found):
    model = MultiTaskModel(MLP(2, [4], hidden=[3]), tasks())
    expected = f"failed on {found}: it reads '(categories|numbers)', which is not there$"
    with pytest.raises(InputError, match=expected):
        model(inputs)


# Tasks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (dict(zip("cr", tasks(), strict=True)), r"found a mapping; .*list\(tasks.values\(\)\)"),
        ("c", r"found 'c'; expected a list of tasks .*Classification\('c'"),
        (["c", "r"], r"found 'c'; expected a list of tasks"),
        (Regression("r"), r"found one task, 'r'; expected a list: \[task\]"),
        (3, "found 3; expected a list of tasks"),
    ],
)
def test_what_is_no_list_of_tasks_is_refused(given, message):
    for use in (
        lambda: MultiTaskModel(nn.Linear(4, 8), given),
        lambda: MultiTaskModel.wrap(nn.Linear(4, 8), given),
        lambda: TaskMetrics(given),
    ):
        with pytest.raises(InputError, match=f"tasks: {message}"):
            use()


def test_tasks_that_can_be_read_only_once_are_refused():
    with pytest.raises(InputError, match="tasks: found a generator"):
        MultiTaskModel(nn.Linear(4, 8), (task for task in tasks()))


def test_a_task_that_is_added_must_be_one():
    with pytest.raises(InputError, match="found 'x'; expected a list of tasks"):
        made(nn.Linear(4, 8)).add_task("x")


def test_names_that_are_none_are_refused():
    model = made(nn.Linear(4, 8))
    for use in (model.enable_task, model.disable_task):
        with pytest.raises(InputError, match=r"no task is named \['c'\]"):
            use(["c"])
    for use in (model.freeze, model.unfreeze):
        with pytest.raises(InputError, match=r"found \['encoder'\] as a part"):
            use(["encoder"])


@pytest.mark.parametrize(
    ("raw", "targets", "message"),
    [
        ("r", {"r": X[:, 0]}, "raw: found str"),
        (X[:, 0], {"r": X[:, 0]}, r"raw: found a tensor \(2,\)"),
        ({"r": X[:, 0]}, X[:, 0], r"targets: found a tensor \(2,\)"),
        ({"r": X[:, 0]}, "r", "targets: found str"),
    ],
)
def test_losses_need_raw_outputs_and_targets_by_task(raw, targets, message):
    with pytest.raises(InputError, match=f"{message}.*expected {{task: tensor}}"):
        made(nn.Linear(4, 8)).losses(raw, targets)


# What encoders return ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoder", "scheme"),
    [
        (lambda: nn.GRU(4, 8, batch_first=True), "hard"),
        (lambda: nn.LSTM(4, 8, batch_first=True), "hard"),
        (lambda: nn.LSTM(4, 8, batch_first=True), "soft"),
        (lambda: nn.LSTM(4, 8, batch_first=True), "cross_stitch"),
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.GRU(4, 4), nn.Linear(4, 8)), "hard"),
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.GRU(4, 4), nn.Linear(4, 8)), "mmoe"),
    ],
)
def test_an_encoder_that_returns_a_tuple_is_explained(encoder, scheme):
    model = made(encoder(), scheme)
    with pytest.raises(InputError, match=r"tuple.*nn.GRU return \(output, state\); put them into"):
        model(SEQUENCES)


def test_neither_is_the_representation_a_tuple():
    with pytest.raises(InputError, match="the encoder returned a tuple"):
        made(nn.GRU(4, 8)).represent(SEQUENCES)


def test_the_advice_for_recurrent_layers_works():
    class Last(nn.Module):
        width = 8

        def __init__(self):
            super().__init__()
            self.gru = nn.GRU(4, 8, batch_first=True)

        def forward(self, inputs):
            output, _ = self.gru(inputs)
            return output[:, -1]

    assert made(Last())(SEQUENCES)["c"].shape == (2, 3)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: {"hidden": x}, r"a mapping {'hidden': a tensor \(2, 4\) of float32}"),
        (lambda x: None, r"None, .*no `return`"),
        (lambda x: [x, x], r"a list \(a tensor \(2, 4\)"),
    ],
)
def test_what_is_no_tensor_is_described(function, message):
    with pytest.raises(InputError, match=f"the encoder returned {message}"):
        made(Returning(function))(X)


# What encoders are given -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoder", "inputs", "message"),
    [
        (
            convolutions,
            torch.zeros(2, 3, 8, 8, dtype=torch.uint8),
            r"\(2, 3, 8, 8\) of uint8: .*images.float\(\) / 255",
        ),
        (
            convolutions,
            torch.zeros(2, 8, 8, 3),
            r"\(2, 8, 8, 3\) of float32: .*3 channels, but got 8.*images.permute\(0, 3, 1, 2\)",
        ),
        (convolutions, torch.zeros(2, 1, 8, 8), r"\(2, 1, 8, 8\) .*to have 3 channels, but got 1"),
        (
            lambda: nn.Linear(4, 8),
            torch.zeros(2, 5),
            r"\(2, 5\) .*takes 4 features and was given 5",
        ),
        (lambda: nn.Linear(4, 8), X.long(), r"\(2, 4\) of int64: .*inputs.float\(\)"),
        (lambda: nn.Linear(4, 8), {"a": X}, r"a mapping {'a': a tensor \(2, 4\)"),
        (
            lambda: nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(16, 8)),
            X,
            r"of float32: .*inputs.long\(\)",
        ),
        (
            lambda: nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(16, 8)),
            torch.full((2, 4), 9),
            "too few rows for an index; the largest here is 9",
        ),
    ],
)
def test_inputs_that_do_not_fit_an_encoder_are_described(encoder, inputs, message):
    with pytest.raises(InputError, match=f"the encoder failed on .*{message}") as caught:
        made(encoder())(inputs)
    assert caught.value.__cause__ is not None


def test_a_single_row_for_batchnorm_is_explained():
    model = made(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8)))
    with pytest.raises(
        InputError, match=r"\(1, 4\) .*choose a batch_size that leaves no single row"
    ):
        model(X[:1])


class NoFloat16(nn.Linear):
    """Fails as `nn.LSTM` does under autocast to float16 on most CPUs."""

    def forward(self, inputs):
        raise RuntimeError(
            "could not create a primitive descriptor for the LSTM forward propagation primitive. "
            "Run workload with environment variable ONEDNN_VERBOSE=all"
        )


def test_a_recurrent_layer_that_a_cpu_does_not_compute_in_float16_is_explained():
    with pytest.raises(InputError, match=r"\. This CPU does not .* give precision: bfloat16, or"):
        made(NoFloat16(4, 8))(X)


def test_training_evaluation_and_prediction_explain_it_too():
    trainer = Trainer(made(convolutions()), batch_size=4)
    images = np.zeros((8, 3, 6, 6), np.uint8)
    data = (images, {"c": np.arange(8) % 3, "r": np.linspace(-1, 1, 8)})
    for use in (
        lambda: trainer.fit(data, epochs=1),
        lambda: trainer.evaluate(data),
        lambda: trainer.predict(images),
    ):
        with pytest.raises(InputError, match=r"failed on a tensor .*uint8.*images.float\(\) / 255"):
            use()


def test_a_wrapped_module_is_called_by_its_name():
    model = MultiTaskModel.wrap(nn.Linear(4, 8), tasks())
    with pytest.raises(InputError, match=r"the wrapped module failed on a tensor \(2, 5\)"):
        model(torch.zeros(2, 5))


class OfItsOwn(RuntimeError):
    pass


@pytest.mark.parametrize(
    "error",
    [
        OfItsOwn("mine"),
        KeyError("mine"),
        AttributeError("mine"),
        NotImplementedError("mine"),
        RuntimeError("CUDA error: mine"),
        RuntimeError("can't allocate memory: mine"),
    ],
)
def test_errors_that_are_about_something_else_come_as_they_are(error):
    def fail(features):
        raise error

    with pytest.raises(type(error), match="mine") as caught:
        made(Returning(fail))(X)
    assert caught.value is error


def test_a_key_that_rows_have_is_missing_from_something_else():
    class Mine(nn.Linear):
        def forward(self, inputs):
            return {}["x"]

    with pytest.raises(KeyError, match="x"):
        made(Mine(4, 8))({"x": X})


def test_a_compiled_model_is_one_graph_as_before():
    model = made(nn.Sequential(nn.Linear(4, 8), nn.ReLU()))
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    assert torch.equal(compiled(X)["c"], model(X)["c"])


# Lazy layers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["hard", "mmoe", "cross_stitch"])
@pytest.mark.parametrize(
    "encoder",
    [
        lambda: nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.Linear(8, 8)),
        lambda: [nn.LazyLinear(8), nn.Linear(8, 8)],
        lambda: lambda: nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.Linear(8, 8)),
    ],
)
def test_an_encoder_with_layers_of_unknown_size_is_refused(encoder, scheme):
    with pytest.raises(
        InputError, match=r"size of 0 \(LazyLinear\) .*encoder\(inputs\).*nn.Linear"
    ):
        made(encoder(), scheme)


def test_after_one_batch_a_lazy_encoder_is_like_any_other():
    encoder = nn.Sequential(nn.LazyLinear(8), nn.ReLU())
    encoder(X)
    assert made(encoder)(X)["c"].shape == (2, 3)


def test_a_trainer_asks_for_a_batch_where_heads_have_no_size_yet():
    model = MultiTaskModel(nn.Linear(4, 8), [Regression("r", head=nn.LazyLinear(1))])
    with pytest.raises(InputError, match=r"size of heads.*LazyLinear.*model\(inputs\)"):
        Trainer(model)
    model(X)
    Trainer(model)
