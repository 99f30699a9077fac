"""The option ``reads``: a built-in head gets raw outputs or features of other tasks."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

import motet
from motet import sharing
from motet.config import ConfigError
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.run.building import check
from motet.states import TokenStates
from motet.tasks import Classification, Generation, Regression, Segmentation, SequenceLabelling
from motet.training import Trainer

X = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
TARGETS = {"a": torch.arange(12) % 3, "b": torch.linspace(-1, 1, 12)}


def model(reads, scheme=None, **options):
    torch.manual_seed(0)
    tasks = [Regression("b", reads=reads), Classification("a", classes=3, **options)]
    return MultiTaskModel(nn.Sequential(nn.Linear(3, 4), nn.Tanh()), tasks, sharing=scheme)


@pytest.mark.parametrize(
    ("reads", "width", "trains"),
    [
        (["a"], 3, False),
        ({"a": {}}, 3, False),
        ({"a": {"detach": False}}, 3, True),
        ({"a": {"what": "features"}}, 4, False),
        ({"a": {"what": "features", "detach": False}}, 4, False),
    ],
)
def test_what_is_read_enters_the_head_beside_the_features(reads, width, trains):
    found = model(reads)
    raw, states = found(X), found.states(X)
    more = raw["a"] if width == 3 else states["a"]
    layer = found.heads["b"].head.head.layers[0]
    assert layer.in_features == 4 + width
    expected = layer(torch.cat([states["b"], more], dim=1)).squeeze(1)
    torch.testing.assert_close(raw["b"], expected)
    torch.testing.assert_close(found(X, "b")["b"], expected)
    raw["b"].sum().backward()
    reached = [each.grad is not None for each in found.heads["a"].parameters()]
    assert all(reached) if trains else not any(reached)


def test_features_of_another_are_its_own_where_tasks_have_their_own():
    found = model({"a": {"what": "features"}}, sharing.create("mmoe", experts=2, expert_width=5))
    states = found.states(X)
    layer = found.heads["b"].head.head.layers[0]
    expected = layer(torch.cat([states["b"], states["a"]], dim=1)).squeeze(1)
    torch.testing.assert_close(found(X)["b"], expected)


def test_a_detached_head_belongs_to_its_task_alone_and_another_is_shared():
    for detach in (True, False):
        found = model({"a": {"detach": detach}})
        for _ in range(2):
            shared = {id(p) for p in found.shared_parameters()}
            own = {id(p) for p in found.heads["a"].parameters()}
            assert own.isdisjoint(shared) if detach else own <= shared
            Trainer(found, "pcgrad").train_step({"inputs": X, "targets": TARGETS})


def test_a_disabled_task_that_is_read_is_computed_and_said():
    found = model(["a"], enabled=False)
    with pytest.warns(UserWarning, match="'a' is disabled, but b reads it: it is computed"):
        Trainer(found).fit((X, {"b": TARGETS["b"]}), epochs=1)
    assert list(found(X)) == ["b"]


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (lambda: [Regression("b", reads=["c"])], "'b' reads 'c', which is not a task"),
        (lambda: [Regression("b", reads=["b"])], "in a circle: b reads b"),
        (
            lambda: [Regression("b", reads=["a"], head=nn.Linear(4, 1)), Regression("a")],
            "'b' reads a, but its head does not take",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(tasks, message):
    with pytest.raises(InputError, match=message):
        MultiTaskModel(nn.Linear(3, 4), tasks())


class Words(nn.Module):
    """The state of a word knows that word alone."""

    gives, width = "tokens", 4

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(4, 4)

    def forward(self, words):
        states = self.words(words)
        return TokenStates(states, words == 0, states.mean(dim=1))


@pytest.mark.parametrize("what", ["output", "features"])
@pytest.mark.parametrize("decoder", ["linear", "lstm", "crf"])
def test_a_head_of_words_gets_what_is_read_at_each_word(decoder, what):
    reads = {"a": {"what": what}}
    slots = SequenceLabelling("s", classes=["O", "B-x", "I-x"], decoder=decoder, reads=reads)
    found = MultiTaskModel(Words(), [slots, Classification("a", classes=3)])
    words = torch.tensor([[1, 2, 3], [3, 0, 0]])
    states, raw = found.states(words), found(words)
    read = raw["a"] if what == "output" else states["a"]
    head, wider = found.heads["s"].head, torch.zeros(2, 3, 4 + read.shape[1])
    for row, place in np.ndindex(2, 3):
        wider[row, place] = torch.cat([states["s"].states[row, place], read[row]])
    expected = head(TokenStates(wider, words == 0, states["a"]))
    torch.testing.assert_close(raw["s"], expected, equal_nan=True)


@pytest.mark.parametrize("reads", [(), ("a",)])
def test_tags_that_depend_on_the_sentence_are_learned_where_it_is_read(reads):
    """The tag of word 3 is that of its sentence, which words 1 and 2 tell."""
    rng = np.random.default_rng(0)
    of_sentence = rng.integers(0, 2, 200)
    words = np.stack([of_sentence + 1, np.full(200, 3)], axis=1)
    targets = {"a": of_sentence, "s": np.stack([np.full(200, 2), of_sentence], axis=1)}
    torch.manual_seed(0)
    slots = SequenceLabelling("s", classes=["yes", "no", "other"], reads=reads)
    tasks = [Classification("a", classes=2), slots]
    trainer = Trainer(MultiTaskModel(Words(), tasks), batch_size=20, learning_rate=0.03)
    trainer.fit((words, targets), epochs=8)
    accuracy = trainer.evaluate((words, targets))["s"]["token_accuracy"]
    assert accuracy == 1 if reads else accuracy < 0.85


def test_a_head_of_a_map_gets_what_is_read_at_each_place():
    pixels = Segmentation("s", classes=2, size=(6, 8), reads=["a"])
    torch.manual_seed(0)
    encoder = nn.Conv2d(3, 4, 1)
    encoder.gives = "map"
    found = MultiTaskModel(encoder, [Classification("a", classes=3), pixels], width=4)
    images = torch.randn(2, 3, 3, 4)
    raw, state = found(images), found.states(images)["s"]
    wider = torch.empty(2, 7, 3, 4)
    for row, line, column in np.ndindex(2, 3, 4):
        wider[row, :, line, column] = torch.cat([state[row, :, line, column], raw["a"][row]])
    torch.testing.assert_close(raw["s"], found.heads["s"].head(wider))
    assert raw["s"].shape == (2, 2, 6, 8)


def test_labels_of_words_are_not_read_and_wrapped_modules_read_nothing():
    slots = SequenceLabelling("s", classes=2)
    with pytest.raises(
        InputError, match=r"found 's', whose raw output is not one row .*what: features"
    ):
        MultiTaskModel(Words(), [slots, Regression("b", reads=["s"])])
    with pytest.raises(InputError, match="'b' reads a, but a wrapped module has its heads inside"):
        MultiTaskModel.wrap(nn.Identity(), [Regression("b", reads=["a"]), Regression("a")])


def test_generated_texts_are_neither_read_nor_given_what_others_predict():
    def title(**more):
        return Generation("title", vocabulary_size=5, max_length=3, **more)

    with pytest.raises(InputError, match=r"found 'title', whose raw output is not one row"):
        MultiTaskModel(nn.Linear(3, 4), [title(), Regression("b", reads=["title"])])
    with pytest.raises(InputError, match=r"'title': reads: found b, .* reads tokens or rows"):
        MultiTaskModel(nn.Linear(3, 4), [title(reads=["b"]), Regression("b")])
    features = Regression("b", reads={"title": {"what": "features"}})
    assert MultiTaskModel(nn.Linear(3, 4), [title(), features])(torch.ones(2, 3))["b"].shape == (2,)


def frame():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 2))
    click = rng.random(120) < 0.5
    return pa.table(
        {
            "x": x[:, 0],
            "z": x[:, 1],
            "click": click.astype(int),
            "buy": (click & (x[:, 0] > 0)).astype(int),
        }
    )


def config(**tasks):
    return {
        "inputs": {"x": "number", "z": "number"},
        "tasks": tasks,
        "training": {"epochs": 1, "device": "cpu"},
    }


CLICK = {"type": "classification"}


def test_runs_read_and_multiply_and_can_be_loaded(tmp_path):
    given = config(
        click=CLICK,
        buy={"type": "classification", "product": ["click", "given"]},
        given={"type": "classification", "classes": ["no", "yes"], "latent": True},
        x2={"type": "regression", "column": "x", "reads": {"click": {"what": "features"}}},
    )
    given["inputs"] = {"z": "number"}
    run = motet.train(given, data=frame(), output=tmp_path / "run")
    rows = frame().select(["z"])
    found = motet.load(run.path / "model").predict(rows)
    assert found == run.predict(rows)
    p = {
        name: found[f"{name}_probability_{label}"].to_numpy()
        for name, label in (("click", "1"), ("buy", "1"), ("given", "yes"))
    }
    np.testing.assert_allclose(p["buy"], p["click"] * p["given"], rtol=1e-5)
    assert set(found["given"].to_pylist()) <= {"no", "yes"}
    assert "given" not in run.evaluate(frame(), split="test")


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({"buy": {**CLICK, "reads": ["clik"]}}, "tasks.buy.reads: .*did you mean 'click'"),
        ({"buy": {**CLICK, "reads": ["buy"]}}, "tasks.buy.reads: tasks read each other in a circ"),
        ({"buy": {**CLICK, "reads": {"click": {"detached": True}}}}, "tasks.buy.reads.*detach"),
        ({"buy": {**CLICK, "product": ["click"]}}, "tasks.buy.product: found click and 2 classes"),
        (
            {"buy": {**CLICK, "product": ["click", "x"]}, "x": {"type": "regression"}},
            "tasks.buy.product: found 'x', a regression task",
        ),
        ({"a": {**CLICK, "latent": True, "classes": 2}}, "tasks.a.latent: found true, but no task"),
        (
            {"a": {**CLICK, "latent": True}, "buy": {**CLICK, "product": ["click", "a"]}},
            "tasks.a.classes: found none; a latent task",
        ),
    ],
)
def test_mistakes_are_reported_at_their_place(tasks, message):
    given = config(click=CLICK, **tasks)
    given["inputs"] = {"z": "number"}
    with pytest.raises(ConfigError, match=message):
        check(given, data=frame())
